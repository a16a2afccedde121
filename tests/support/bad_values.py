"""What is no value of a parameter, by its source: the guard refuses each of them, and so does each role by itself."""

from __future__ import annotations

from orchestrator.domain.actions import ParameterSource

#: What is no name of a unit, whatever the role.
NO_NAMES = (
    *("", " ", "-", "--help", "..", ".hidden", "../nginx", "/etc/nginx", "a/b.service", "nginx*", "ngin?", "[n]ginx"),
    *("nginx service", "nginx;reboot", "$(reboot)", "`reboot`", "nginx|cat", "nginx&", "nginx>x", "'nginx'"),
    *("nginx\n", "nginx\x00", "nginx\x1b[2J"),
    # Cyrillic, a full-width letter, a letter without width, and longer than any name.
    *("ngin\u0445.service", "\uff4eginx", "nginx\u200b", "n" * 256, "n" * 200_000),
)
#: What is no path, whatever the role.
NO_PATHS = (
    *("", " ", "/", ".", "..", "job", "./job", "~/job", "$HOME/job", "--help"),
    *("/opt/../etc/shadow", "/opt/..", "/opt/./job", "//opt/job", "/opt//job", "/opt/job/"),
    *("/opt/*", "/opt/jo?", "/opt/[j]ob", "/opt/{job,cat}", "/opt/my job", "/opt/job;reboot", "/opt/$(reboot)"),
    *("/opt/`reboot`", "/opt/job|cat", "/opt/job&", "/opt/job>x", "/opt/'job'", '/opt/"job"', "/opt/job\\"),
    *("/opt/job\n", "/opt/job\x00", "/opt/job\x1b[2J"),
    # Cyrillic, full width (the slash too), a letter without width, writing turned round, and longer than any path.
    *("/opt/j\u043eb", "/opt/\uff4aob", "\uff0fopt/job", "/opt/job\u200b", "/opt/\u202ejob"),
    *("/opt/" + "j" * 2000, "/j" * 100_000),
)
BAD = {ParameterSource.UNIT: NO_NAMES, ParameterSource.PATH: NO_PATHS, ParameterSource.FILE_SYSTEM: NO_PATHS}
