"""What is remembered: incidents, decisions, runs, and the ledger of every step. No record, no action.

`store.open_store` is the way in; `artifacts` reads what a run left. Nothing here decides or acts, and nothing
outside of this room knows SQL.
"""
