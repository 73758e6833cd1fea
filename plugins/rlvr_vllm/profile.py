"""What is known of a checkpoint before an engine is started; whatever can be refused without one is refused here."""

from __future__ import annotations

from rlvr_harness import CheckpointProfile, ModelRequest, PictureCheckpoint, check_checkpoint, sees_pictures
from rlvr_vllm.adapters import adapter_rank
from rlvr_vllm.devices import groups_of
from rlvr_vllm.engine import require_vllm
from rlvr_vllm.options import engine_options


def profile_of(request: ModelRequest) -> CheckpointProfile:
    """Tokenizer, context and, for a model that sees pictures, its processor. Raises ModelError."""
    require_vllm()
    check_checkpoint(request)
    options = engine_options(request)
    groups_of(request)
    if options.adapter is not None:
        adapter_rank(options.adapter, request.allow_pickle)
    return PictureCheckpoint(request) if sees_pictures(request) else CheckpointProfile(request)
