"""A throwaway fleet of real Debian hosts on one machine: the demo, the tests' hosts and the chaos gym.

Promise: a `Lab` of a given name brings up hosts with systemd, journald, sshd, cron and nginx that the
controller reaches by SSH with keys known beforehand; it breaks them through real programs; and `down` leaves
nothing of it behind. Labs of different names never meet.

Limits: the demo aside, it knows nothing of healing and imports nothing of `orchestrator`; speaks to no host
but its own; never prints (the command line speaks); everything it asks of the machine goes through
`lab.machine` and `lab.podman`. The hosts share the machine's kernel and are no security boundary.
"""
