"""verify: run + fresh records -> healed or not; chooses rollback. Pure: it runs and reads nothing itself."""
