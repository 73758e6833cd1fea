"""Samplers `lm_eval:NAME`: every model class of lm-eval, through its own `generate_until`. Slow, and universal."""

from rlvr_harness import hookimpl
from rlvr_lm_eval.sampler import LmEvalFamily


@hookimpl
def provide_samplers() -> list[LmEvalFamily]:
    """The family `lm_eval`."""
    return [LmEvalFamily()]
