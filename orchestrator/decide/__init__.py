"""An incident with its candidates in, one decision out. A chooser picks; it never writes, and nothing here acts.

Whatever a log line or a model says, the worst that leaves this room is one candidate that was offered.
"""
