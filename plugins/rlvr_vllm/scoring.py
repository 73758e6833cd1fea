"""Log-likelihoods of given texts by vLLM, which reports the log probability of every token of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from rlvr_harness import ModelError, TextPair, TextScore, text_ids
from rlvr_vllm.streaming import Engine

Tokenize = Callable[[str], Sequence[int]]
"""A prompt as the model sees it, special tokens included."""


def scoring_parameters() -> Any:
    """One token is generated, which nobody reads; the prompt's own tokens are reported at temperature 1."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=1,
        temperature=0.0,
        max_tokens=1,
        prompt_logprobs=0,
        detokenize=False,
        ignore_eos=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


class Likelihoods:
    """Puts prompt and text into the engine as one prompt and adds up what it reports for the text."""

    def __init__(self, engine: Engine, tokenizer: Any, tokenize: Tokenize, context: int, lora: Any) -> None:
        """`context`: most tokens of a request, the generated one included."""
        self._engine, self._tokenizer, self._tokenize = engine, tokenizer, tokenize
        self._context, self._lora = context, lora

    def score(self, pairs: Sequence[TextPair], room: int) -> Iterator[tuple[int, TextScore]]:
        """Scores as they finish, at most `room` texts under way; what is under way is aborted when the caller stops."""
        name, under_way = uuid4().hex, dict[str, tuple[int, int, list[int]]]()
        left = iter(enumerate(pairs))
        parameters = scoring_parameters()
        more = True
        try:
            while more or under_way:
                while more and len(under_way) < room:
                    place, pair = next(left, (-1, None))
                    if pair is None:
                        more = False
                        break
                    prompt, text = self._ids(pair)
                    ids = prompt + text
                    if not text or len(ids) >= self._context:
                        yield place, TextScore(None if text else 0.0, len(text))
                        continue
                    given = {"type": "token", "prompt_token_ids": ids}
                    self._engine.add_request(f"{name}-{place}", given, parameters, lora_request=self._lora)
                    under_way[f"{name}-{place}"] = (place, len(prompt), ids)
                for output in self._engine.step() if under_way else ():
                    if output.finished:
                        place, begin, ids = under_way.pop(output.request_id)
                        yield place, TextScore(_sum(output.prompt_logprobs, begin, ids), len(ids) - begin)
        finally:
            # What ended the flight is what must be told, not that a dead engine holds nothing any more.
            with suppress(ModelError):
                if under_way:
                    self._engine.abort_request(list(under_way))

    def _ids(self, pair: TextPair) -> tuple[list[int], list[int]]:
        prompt = list(self._tokenize(pair.prompt))
        if not prompt:
            bos = self._tokenizer.bos_token_id
            prompt = [int(self._tokenizer.eos_token_id if bos is None else bos)]
        return prompt, text_ids(self._tokenizer, pair.prompt, pair.text)


def _sum(reported: Any, begin: int, ids: Sequence[int]) -> float:
    """`reported`: per position of the prompt, token -> its log probability; None for the first."""
    if reported is None or len(reported) < len(ids):
        raise ModelError("vllm reports no log probabilities of the prompt; this version cannot score texts")
    return float(sum(reported[place][ids[place]].logprob for place in range(begin, len(ids))))
