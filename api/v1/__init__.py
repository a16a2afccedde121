"""/api/v1: everything that is recorded, and whatever may be asked for, for programs."""
