"""Log-likelihoods of given texts by any model class of lm-eval that can be handed tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr_harness import ModelError, TextPair, TextScore, first_line, score_tokens, text_ids
from rlvr_lm_eval.classes import BATCH, SERVED, ModelClass

LOGITS_BYTES_CPU = 2**30
LOGITS_BYTES_GPU = 4 * 2**30
"""Memory for the logits of the texts that are run together; a text that needs more is run by itself."""
LOGITS_COPIES = 4
"""lm-eval keeps the logits of all positions, prompts included, and makes log-softmax of them in float32."""
TELLING_TOKENS = 8
"""So many tokens cannot all have probability 1."""


@dataclass(frozen=True, slots=True)
class _Row:
    place: int
    prompt: list[int]
    text: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.text)


class Likelihoods:
    """Splits prompts and texts into tokens as the model sees them, and hands them to lm-eval in bounded groups."""

    def __init__(self, lm: Any, kind: ModelClass, batch_size: int | None) -> None:
        """`lm` is lm-eval's model; `batch_size`: most texts in a group. Raises ModelError where it cannot score."""
        if why := kind.unscorable or _why_not(lm):
            raise ModelError(f"lm_eval:{kind.name} cannot score texts: {why}; open the models with --sampler hf")
        self._lm, self._kind = lm, kind
        self._most_rows = batch_size or BATCH
        longest = getattr(lm, "max_length", None)
        self._room = longest - kind.generated_with_scores if isinstance(longest, int) else None
        self._most_tokens: int | None = None
        if hasattr(lm, "softmax_dtype"):
            self._most_tokens = _prepare(lm)

    def score(self, pairs: Sequence[TextPair]) -> Iterator[tuple[int, TextScore]]:
        """(place, score) of every pair, group by group, long texts first; see `ScoringModel`.

        lm-eval would cut what is too long for the context from the left; such a text has no score here.
        """
        rows = []
        for row in self._rows(pairs):
            if self._room is not None and row.length > self._room:
                yield row.place, TextScore(None, len(row.text))
            elif not row.text:
                yield row.place, TextScore(0.0, 0)
            else:
                rows.append(row)
        rows.sort(key=lambda row: -row.length)
        start = 0
        while start < len(rows):
            group = rows[start : start + self._count(rows[start].length)]
            totals = score_tokens(self._lm, [(row.prompt, row.text) for row in group])
            self._check(group, totals)
            for row, total in zip(group, totals, strict=True):
                yield row.place, TextScore(total, len(row.text))
            start += len(group)

    def _count(self, longest: int) -> int:
        """Rows of a group whose longest has so many tokens."""
        if self._most_tokens is None:
            return self._most_rows
        return max(1, min(self._most_rows, self._most_tokens // longest))

    def _rows(self, pairs: Sequence[TextPair]) -> list[_Row]:
        """Prompt as the class makes tokens of it, then the text without special tokens."""
        encode = _Encode(self._lm)
        prompts: dict[str, list[int]] = {}
        rows = []
        try:
            for place, pair in enumerate(pairs):
                if pair.prompt not in prompts:
                    prompts[pair.prompt] = _prompt_ids(self._lm, encode, pair.prompt)
                rows.append(_Row(place, prompts[pair.prompt], text_ids(encode, pair.prompt, pair.text)))
        except (ValueError, TypeError, LookupError, AttributeError, OSError, RuntimeError, AssertionError) as error:
            raise ModelError(
                f"lm_eval:{self._kind.name} cannot tell the tokens of a text: {first_line(error)}; name the tokenizer "
                "with --model_args tokenizer=PATH, or open the models with --sampler hf"
            ) from error
        return rows

    def _check(self, group: Sequence[_Row], totals: Sequence[float]) -> None:
        """A server that does not return the prompt's log probabilities leaves lm-eval nothing to sum: 0 for all."""
        if self._kind.name in SERVED and not any(totals) and sum(len(row.text) for row in group) >= TELLING_TOKENS:
            raise ModelError(
                f"lm_eval:{self._kind.name} gives every token probability 1: the server does not return log "
                "probabilities of the prompt (echo); open the models with --sampler hf"
            )


class _Encode:
    """A class's tokenizer without special tokens, called as those of transformers are."""

    def __init__(self, lm: Any) -> None:
        self._lm = lm

    def __call__(self, text: str, add_special_tokens: bool = False) -> dict[str, list[int]]:
        tokenizer = self._lm.tokenizer
        if callable(tokenizer):
            return {"input_ids": list(tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"])}
        return {"input_ids": list(self._lm.tok_encode(text))}


def _prompt_ids(lm: Any, encode: _Encode, prompt: str) -> list[int]:
    """The prompt's tokens, a begin token not twice: chat templates write one, and some classes add one to that."""
    ids, plain = list(lm.tok_encode(prompt)), encode(prompt)["input_ids"]
    if plain and ids == [plain[0], *plain] and plain[0] == getattr(lm.tokenizer, "bos_token_id", None):
        ids = plain
    return ids or [int(lm.prefix_token_id)]


def _why_not(lm: Any) -> str | None:
    """Why a class cannot be handed tokens; None where it can."""
    if not hasattr(lm, "_loglikelihood_tokens"):
        return "lm-eval hands it no tokens, so that how many a text has is not known"
    if getattr(lm, "backend", "causal") != "causal":
        return "it is an encoder-decoder"
    if getattr(lm, "tokenizer", None) is None:
        return "no tokenizer is known (name it with --model_args tokenizer=PATH)"
    if not getattr(lm, "tokenized_requests", True):
        return "the server makes tokens of the texts itself (--model_args tokenized_requests=True sends them)"
    return None


def _prepare(lm: Any) -> int:
    """Most tokens that a transformers model may run at once; log probabilities are summed in float32 from now on."""
    import torch

    if lm.softmax_dtype is None:
        # In bfloat16 the sum over a text of 500 nats is a multiple of 2.
        lm.softmax_dtype = torch.float32
    on_cpu = str(lm.device).startswith("cpu")
    budget = LOGITS_BYTES_CPU if on_cpu else LOGITS_BYTES_GPU
    return max(1, budget // (4 * LOGITS_COPIES * len(lm.tokenizer)))
