"""The command line: one file a noun; each body translates options, calls one function and shows the answer."""
