"""healing-bot: collect, detect, decide, guard, act, verify, record."""
