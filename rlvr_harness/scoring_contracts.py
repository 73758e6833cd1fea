"""What a model may offer beside sampling: how likely it finds a given text, and how undecided it is along the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class TextPair:
    """A text and the prompt that it answers, the prompt as it was sent."""

    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class TextScore:
    """How likely a text is under the model's own law: temperature 1, nothing cut off.

    `logprob_sum`: natural log, over the `n_tokens` tokens of the text in the model's tokenizer. No end token is
    counted, whether the text ended by itself or was cut. None where prompt and text do not fit the model's context.
    """

    logprob_sum: float | None
    n_tokens: int


@dataclass(frozen=True, slots=True)
class TextEntropy:
    """How undecided a model is at the tokens of a text, fed with it: one sum over the tokens per temperature, in nats.

    Each term is the entropy of softmax(logits / temperature) over the whole vocabulary, nothing cut off. `sums` is None
    where prompt and text do not fit the model's context.
    """

    sums: tuple[float, ...] | None
    n_tokens: int


@runtime_checkable
class ScoringModel(Protocol):
    """An `OpenModel` that can score texts it did not write."""

    def score(self, pairs: Sequence[TextPair]) -> Iterator[tuple[int, TextScore]]:
        """(place in `pairs`, score) of every pair once, as they finish."""


@runtime_checkable
class EntropyModel(Protocol):
    """An `OpenModel` that can tell the entropy of its next-token distributions; not every engine hands them out."""

    def token_entropies(
        self, pairs: Sequence[TextPair], temperatures: Sequence[float]
    ) -> Iterator[tuple[int, TextEntropy]]:
        """(place in `pairs`, entropies at these temperatures) of every pair once, as they finish."""
