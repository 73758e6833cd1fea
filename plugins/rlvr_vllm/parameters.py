"""The sampling law as vLLM's `SamplingParams`, every one of them set, so that no checkpoint's own can leak in."""

from __future__ import annotations

import copy
from typing import Any

from rlvr_harness import SamplingLaw, with_stop_tokens


class Parameters:
    """Sampling parameters of single samples, made once for each set of stop strings and copied with the seed."""

    def __init__(
        self, law: SamplingLaw, ends: tuple[int, ...], tokenizer: Any, vocabulary: int, logprobs: bool
    ) -> None:
        """`ends`: the tokens that end a text; those outside the model's `vocabulary` never come up: left out."""
        self._law, self._ends, self._tokenizer = law, ends, tokenizer
        self._vocabulary, self._logprobs = vocabulary, logprobs
        self._made: dict[tuple[str, ...], Any] = {}

    def of(self, stops: tuple[str, ...], seed: int) -> Any:
        """The parameters of one sample."""
        if stops not in self._made:
            self._made[stops] = self._make(stops)
        own = copy.copy(self._made[stops])
        own.seed = seed
        return own

    def _make(self, stops: tuple[str, ...]) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        law = self._law
        ends = with_stop_tokens(self._ends, stops, self._tokenizer)
        return SamplingParams(
            n=1,
            temperature=float(law.temperature),
            top_p=float(law.top_p),
            top_k=law.top_k,
            min_p=float(law.min_p),
            repetition_penalty=float(law.repetition_penalty),
            presence_penalty=0.0,
            frequency_penalty=0.0,
            max_tokens=law.max_gen_toks,
            min_tokens=0,
            stop=list(stops),
            stop_token_ids=[token for token in ends if 0 <= token < self._vocabulary],
            # The end tokens are those above and no others.
            ignore_eos=True,
            include_stop_str_in_output=False,
            skip_special_tokens=True,
            # A greedy text has no probability under the law.
            logprobs=0 if self._logprobs and law.temperature > 0 else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
