"""The words of the house as frozen types. Standard library only, no I/O, no clock of its own.

Nothing here may know how a record is fetched, stored, shown or acted on.
"""
