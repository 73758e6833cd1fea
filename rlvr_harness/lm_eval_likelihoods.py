"""Log-likelihoods by lm-eval's model classes, of tokens that were split by the caller."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from rlvr_harness.errors import ModelError, first_line
from rlvr_harness.lm_eval_bridge import LM_EVAL_EXCEPTIONS
from rlvr_harness.lm_eval_view import quiet_lm_eval


def score_tokens(lm: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    """The summed log probability of each (tokens before, tokens scored), none of them empty. Raises ModelError.

    These are the requests that lm-eval's `loglikelihood` makes of two texts. They are made of tokens here, since
    `loglikelihood` itself counts the white space that ends the first text to the second, or loses it where it is part
    of a token: with a tokenizer that has ".\\n" as one, "x.\\n" before "y" is scored as "x." before "y".
    """
    requests = [(None, list(before), list(scored)) for before, scored in pairs]
    name = f"lm-eval's {type(lm).__name__}"
    score = lm._loglikelihood_tokens
    quiet = {"disable_tqdm": True} if "disable_tqdm" in inspect.signature(score).parameters else {}
    with quiet_lm_eval():
        try:
            found = [float(total) for total, _ in score(requests, **quiet)]
        except _failures() as error:
            raise ModelError(
                f"{name} fails to score texts: {first_line(error)}; where memory ran out, lower --batch_size, "
                "else open the models with --sampler hf"
            ) from error
    if len(found) != len(requests):
        raise ModelError(f"{name} gave {len(found)} log-likelihoods for {len(requests)} texts")
    return found


def _failures() -> tuple[type[Exception], ...]:
    """What lm-eval's classes raise, and the client under those that ask servers."""
    try:
        from aiohttp import ClientError
    except ImportError:
        return (*LM_EVAL_EXCEPTIONS, LookupError)
    return (*LM_EVAL_EXCEPTIONS, LookupError, ClientError)
