"""act: verdict -> run. The one door to ansible-runner, which only the supervisor process imports.

A run has one detached supervisor, one fresh private directory and one folder of artifacts. What runs is what
was digested; nothing of a run outlives it on the controller; no secret is left in any record.
"""
