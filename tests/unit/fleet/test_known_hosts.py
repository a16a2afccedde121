"""known_hosts as text: who is in it, how a shown key stands to it, and the text after an enrolment."""

from __future__ import annotations

import base64

import pytest

from orchestrator.errors import HostKeyMismatch
from orchestrator.fleet.knownhosts import entries, fingerprint, hashed_name, with_keys
from orchestrator.fleet.trust import Standing, judge

ED, RSA = "ssh-ed25519", "ssh-rsa"


def key(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


OLD, NEW, OTHER = key("old"), key("new"), key("other")
HASHED = hashed_name("web1", b"0123456789abcdef0123")


@pytest.mark.parametrize(
    ("names", "name", "found"),
    [
        ("web1", "web1", True),
        ("web1,192.0.2.1", "192.0.2.1", True),
        ("WEB1", "web1", True),
        ("web1", "web11", False),
        ("web?", "web1", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com,!a.example.com", "a.example.com", False),
        ("[web1]:2222", "[web1]:2222", True),
        ("[web1]:2222", "web1", False),
        ("[192.0.2.*]:2222", "[192.0.2.9]:2222", True),
        (HASHED, "web1", True),
        (HASHED, "web2", False),
        ("|1|broken", "web1", False),
        ("|1|!!|!!", "web1", False),
    ],
)
def test_a_line_names_a_host_as_ssh_reads_it(names: str, name: str, *, found: bool) -> None:
    assert bool(entries(f"# comment\n\n{names} {ED} {OLD}\n", name)) is found


def test_comments_short_lines_and_markers_are_told_apart() -> None:
    text = f"#web1 {ED} {OLD}\nweb1 {ED}\n@revoked web1 {ED} {OLD}\n@cert-authority * {ED} {NEW}\n"

    assert [(entry.number, entry.marker) for entry in entries(text, "web1")] == [
        (3, "@revoked"),
        (4, "@cert-authority"),
    ]


def test_a_fingerprint_is_that_of_ssh_keygen() -> None:
    public = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

    # GitHub's published ed25519 host key.
    assert fingerprint(public) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


@pytest.mark.parametrize(
    ("text", "shown", "standings"),
    [
        ("", [(ED, NEW), (RSA, OTHER)], ["new", "new"]),
        (f"web1 {ED} {NEW}\n", [(ED, NEW)], ["known"]),
        (f"{HASHED} {ED} {NEW}\n", [(ED, NEW)], ["known"]),
        (f"web1 {ED} {NEW}\n", [(ED, NEW), (RSA, OTHER)], ["known", "extra"]),
        (f"web1 {ED} {OLD}\n", [(ED, NEW)], ["changed"]),
        # Known by an ed25519 key, and only an RSA one is shown: the classic way in between.
        (f"web1 {ED} {OLD}\n", [(RSA, NEW)], ["changed"]),
        (f"web1 {ED} {OLD}\nweb1 {RSA} {OTHER}\n", [(ED, NEW), (RSA, OTHER)], ["changed", "known"]),
        (f"@revoked web1 {ED} {NEW}\n", [(ED, NEW)], ["revoked"]),
        (f"@cert-authority * {ED} {NEW}\n", [(ED, NEW)], ["new"]),
        (f"web2 {ED} {OLD}\n", [(ED, NEW)], ["new"]),
    ],
)
def test_a_shown_key_stands_to_what_is_known(text: str, shown: list[tuple[str, str]], standings: list[str]) -> None:
    keys = judge(text, "web1", shown)

    assert [key.standing for key in keys] == [Standing(word) for word in standings]
    assert keys[0].line == f"web1 {shown[0][0]} {shown[0][1]}"
    assert keys[0].fingerprint == fingerprint(shown[0][1])


@pytest.mark.parametrize(
    ("text", "replace", "after"),
    [
        ("", False, f"web1 {ED} {NEW}\n"),
        ("# mine", False, f"# mine\nweb1 {ED} {NEW}\n"),
        (f"web1 {ED} {NEW}\n", False, f"web1 {ED} {NEW}\n"),
        (f"web2 {ED} {OLD}\n", False, f"web2 {ED} {OLD}\nweb1 {ED} {NEW}\n"),
        (f"web1 {ED} {OLD}\nweb2 {ED} {OLD}\n", True, f"web2 {ED} {OLD}\nweb1 {ED} {NEW}\n"),
        (f"web1,web2 {ED} {OLD}\n", True, f"web2 {ED} {OLD}\nweb1 {ED} {NEW}\n"),
        (f"web1 {RSA} {OLD}\n", True, f"web1 {ED} {NEW}\n"),
    ],
)
def test_enrolling_adds_the_key_and_keeps_every_other_line(text: str, *, replace: bool, after: str) -> None:
    assert with_keys(text, "web1", [(ED, NEW)], replace=replace) == after


def test_a_hashed_file_gets_a_hashed_name() -> None:
    after = with_keys(f"{HASHED} {ED} {OLD}\n", "web2", [(ED, NEW)], replace=False)

    assert "web2" not in after
    assert [entry.key for entry in entries(after, "web2")] == [NEW]


def test_a_hashed_old_key_is_replaced() -> None:
    after = with_keys(f"{HASHED} {ED} {OLD}\n", "web1", [(ED, NEW)], replace=True)

    assert [entry.key for entry in entries(after, "web1")] == [NEW]


@pytest.mark.parametrize(
    ("text", "replace", "says"),
    [
        (f"web1 {ED} {OLD}\n", False, "differs from the ssh-ed25519 key on line 1"),
        (f"\nweb1 {RSA} {OLD}\n", False, "differs from the ssh-rsa key on line 2"),
        (f"@revoked web1 {ED} {NEW}\n", False, "is revoked"),
        (f"@revoked web1 {ED} {NEW}\n", True, "is revoked"),
        (f"web* {ED} {OLD}\n", True, "under a pattern on line 1"),
        (f"web1,web* {ED} {OLD}\n", True, "under a pattern on line 1"),
    ],
)
def test_a_key_that_differs_is_never_written_without_being_told_to(text: str, *, replace: bool, says: str) -> None:
    with pytest.raises(HostKeyMismatch, match=says):
        with_keys(text, "web1", [(ED, NEW)], replace=replace)
