"""What a crash may leave on this machine: found, judged, and cleared where it is provably dead."""
