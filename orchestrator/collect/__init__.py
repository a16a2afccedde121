"""Journals and log files of hosts -> log records, and read-only questions to hosts.

Nothing here changes a host, decides, or knows what an incident is. `connection.py` is the one door to paramiko.
Commands and parsers are pure; transport is elsewhere. Everything that a host says is hostile until parsed: sizes
are bounded, and only journal fields that a host's user can't forge name a unit.
"""
