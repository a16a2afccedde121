"""Log records -> signals: what states an error, its signature, and the sick thing that it speaks of.

Pure: no clock, no store, no network. The same record gives the same answer on any worker after any restart.
It must not judge whether an error matters; that is the chooser's.
"""
