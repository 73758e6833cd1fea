"""What the runner leaves for the backend to find: the beginning of a line of progress, and a file in a checkpoint."""

from __future__ import annotations

STEP_MARK = "rlvr_step "
FINISHED = "rlvr_finished.json"
