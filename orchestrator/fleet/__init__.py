"""The fleet: inventory entries as Ansible itself resolves them, and the keys by which hosts are known.

- `resolve` is a child process and the only file that imports Ansible: its plugins, vault and templates run
  there, within a time limit, and what comes back is plain data.
- `variables` (with `reading` and `connection`) turns that data into `Host`; it is pure, and each bad value is
  an error that names host and variable.
- `inventory` is the port `Fleet` over both.
- `trust` shows and enrols host keys; nothing connects to a host whose key is not in known_hosts.

Nothing here opens a login on a host, and nothing here judges what may be done on one.
"""
