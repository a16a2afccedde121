"""What a person is shown of a plan: the tasks that would change something, bounded, and harmless to a terminal."""

from __future__ import annotations

from orchestrator.act.changes import LETTERS, LINES, NOTHING, would_change

PRINTED = """
PLAY [Rotate logs] *************************************************************

TASK [rotate_logs : Refuse what is no plain path] ******************************
skipping: [web1]

TASK [rotate_logs : Write the configuration] ***********************************
--- before: /etc/logrotate.d/shop
+++ after: /var/lib/ansible/tmp/shop.j2
@@ -1,2 +1,2 @@
-weekly
+daily
 compress

changed: [web1]

TASK [rotate_logs : Look again] ************************************************
ok: [web1]

PLAY RECAP *********************************************************************
web1                       : ok=2    changed=1    unreachable=0    failed=0
"""


def test_the_tasks_that_would_change_something_are_kept_with_their_differences() -> None:
    assert would_change(PRINTED).splitlines() == [
        "TASK [rotate_logs : Write the configuration]",
        "--- before: /etc/logrotate.d/shop",
        "+++ after: /var/lib/ansible/tmp/shop.j2",
        "@@ -1,2 +1,2 @@",
        "-weekly",
        "+daily",
        " compress",
        "changed: [web1]",
    ]


def test_a_plan_that_would_change_nothing_says_so() -> None:
    assert would_change(PRINTED.replace("changed: [web1]", "ok: [web1]").replace("--- before", "")) == NOTHING
    assert would_change("") == NOTHING


def test_what_is_kept_is_bounded_and_says_that_it_is() -> None:
    many = "TASK [x]\nchanged: [web1]\n" + "line\n" * 10 * LINES
    long = "TASK [x]\nchanged: [web1]\n" + "x" * 10 * LETTERS

    for text in (many, long):
        shown = would_change(text)
        assert len(shown) < LETTERS + 200
        assert len(shown.splitlines()) <= LINES + 1
        assert "more was printed" in shown


def test_a_host_cannot_write_to_the_terminal_of_who_reads_it() -> None:
    shown = would_change('TASK [x]\nchanged: [web1] => "\x1b[2J\x1b]0;owned\x07"')

    assert "\x1b" not in shown
    assert "\x07" not in shown
