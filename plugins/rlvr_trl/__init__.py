"""The training backend `trl`: GRPO and its relatives, and SFT, with Hugging Face's TRL in a process of its own."""

from __future__ import annotations

from rlvr_harness import hookimpl
from rlvr_trl.backend import TrlBackend


@hookimpl
def provide_trainers() -> list[TrlBackend]:
    """The backend `trl`."""
    return [TrlBackend()]
