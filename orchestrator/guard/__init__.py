"""A decision with its history and facts in, a verdict out. Pure: no I/O, no clock, no memory.

Nothing acts without an `allowed` from here. What is not known is `unknown`, never `allowed`.
"""
