"""Debian's Chromium, driven over a real server on a store that was told of a night."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Protocol

import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from api.guard import COOKIE
from api.main import create_app
from api.serve import Server
from orchestrator import access
from orchestrator.domain.access import Role, Token
from orchestrator.domain.hosts import Host, Secret
from orchestrator.record.store import SqlStore, open_store
from tests.api.conftest import Stage
from tests.support import night
from tests.support.night import Night

CHROMIUM = "/usr/bin/chromium"
# A busy machine is no defect.
expect.set_options(timeout=30_000)
DESKTOP, PHONE = (1280, 900), (390, 844)
#: Who has which role.
PEOPLE = {Role.VIEWER: "vera", Role.OPERATOR: "olaf", Role.APPROVER: "ann", Role.ADMIN: "ada"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the pictures of the pages go."""
    parser.addoption("--screenshots", type=Path, default=None, help="write a picture of every page into this folder")


@dataclass
class Complaints:
    """What a browser finds fault with; a dialog that opens is one, too."""

    said: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        """To everything that goes on in a page."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(f"console: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _failed(self, request: Request) -> None:
        # What a page still loads, and its stream, end as one leaves it.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.said.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.said.append(f"answered {response.status}: {response.url}")

    def expected(self, *words: str) -> None:
        """Forget those that have one of the words; fails where one of the words is in none."""
        assert all(any(word in one for one in self.said) for word in words), (words, self.said)
        self.said = [one for one in self.said if not any(word in one for word in words)]


@dataclass(kw_only=True)
class Site:
    """A server, and the store behind it."""

    url: str
    store: SqlStore
    night: Night
    stage: Stage
    server: Server
    _keys: dict[Role, tuple[Token, Secret]] = field(default_factory=dict)

    def cookie(self, role: Role) -> str:
        """Of a session of PEOPLE."""
        now = datetime.now(UTC)
        if role not in self._keys:
            self._keys[role] = access.issue(self.store, PEOPLE[role], role, 1, actor="cli:root", now=now)
        token, key = self._keys[role]
        return str(access.open_session(self.store, key, token, now))


class Opens(Protocol):
    """A new page of a browser that knows nothing yet."""

    def __call__(
        self,
        site: Site,
        path: str = "/",
        *,
        role: Role | None = None,
        size: tuple[int, int] = DESKTOP,
        dark: bool = False,
        scripts: bool = True,
    ) -> Page: ...


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # A module's own: while it lives, asyncio.run is out of use in this thread.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Night]:
    """A night's folder; not to be changed."""
    folder = tmp_path_factory.mktemp("night")
    return folder, night.tell(folder)


@contextmanager
def serving(folder: Path, told_of: Night, hosts: Sequence[Host] = night.HOSTS) -> Iterator[Site]:
    """A server on the store of a folder."""
    store = open_store(f"sqlite:///{folder / 'healer.sqlite'}")
    stage = Stage(store=store, state_dir=folder, hosts=tuple(hosts))
    state = replace(stage.state(), reading=lambda: night.READING)
    server = Server(create_app(state), "127.0.0.1", 0)
    server.start()
    try:
        yield Site(url=f"http://127.0.0.1:{server.port}", store=store, night=told_of, stage=stage, server=server)
    finally:
        server.stop()
        store.close()


@pytest.fixture(scope="module")
def site(told: tuple[Path, Night], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that look and change nothing but sessions."""
    with serving(shutil.copytree(told[0], tmp_path_factory.mktemp("site") / "its"), told[1]) as served:
        yield served


@pytest.fixture
def own(told: tuple[Path, Night], tmp_path: Path) -> Iterator[Site]:
    """For a test that changes something."""
    folder = shutil.copytree(told[0], tmp_path / "own")
    with serving(folder, told[1]) as served:
        yield served


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def browse(chromium: Browser, complaints: Complaints) -> Iterator[Opens]:
    """Opens pages; fails at the end of the test where one of them had a complaint that was not expected."""
    with ExitStack() as opened:

        def page(
            site: Site,
            path: str = "/",
            *,
            role: Role | None = None,
            size: tuple[int, int] = DESKTOP,
            dark: bool = False,
            scripts: bool = True,
        ) -> Page:
            context: BrowserContext = chromium.new_context(
                base_url=site.url,
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if dark else "light",
                java_script_enabled=scripts,
            )
            opened.callback(context.close)
            if role is not None:
                context.add_cookies([{"name": COOKIE, "value": site.cookie(role), "url": site.url}])
            made = context.new_page()
            complaints.listen(made)
            made.goto(path)
            return made

        yield page
    assert complaints.said == []


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Writes a page as it looks into the folder of --screenshots, under a name; nothing where none is given."""
    folder: Path | None = request.config.getoption("--screenshots", default=None)

    def take(page: Page, name: str) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            # A page has few colours: a palette of them is a third of the size.
            seen = Image.open(BytesIO(page.screenshot())).convert("RGB")
            seen.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                folder / f"{name}.png", optimize=True
            )

    return take
