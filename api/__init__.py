"""HTTP over the orchestrator: paths and answers of the original description, and what their links need.

The orchestrator knows nothing of this package but `serve`; nothing here decides, judges or acts.
"""
