"""What a sampler may offer beyond the contract that all of them obey: several units at a time, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from rlvr_harness.records import Sample
from rlvr_harness.requests import SamplingLaw, WorkUnit


class UnitSource(Protocol):
    """Where a model that samples several units at a time takes them from."""

    def take(self, wait: bool) -> WorkUnit | None:
        """The next unit; None where none is ready now.

        With `wait`, blocks until one is ready, and None means that none will ever come. Wait only when nothing is under
        way: what is needed next may depend on samples that are not given back yet.
        """


@runtime_checkable
class ParallelModel(Protocol):
    """An `OpenModel` that samples several closed units of work at a time, each as `sample` would."""

    def sample_units(self, work: UnitSource, laws: Mapping[str, SamplingLaw]) -> Iterator[list[Sample]]:
        """The samples of each unit taken from `work`, together, as it finishes; `laws` by task.

        Ends when `work.take(wait=True)` gives None. A unit is never divided or done twice.
        """


@runtime_checkable
class PictureProfile(Protocol):
    """A `ModelProfile` that knows whether its model sees pictures, and what they take of its context.

    Chat messages name pictures by `Problem.IMAGE_MARK`, one for each of `Problem.images` and in their order;
    `render_chat` puts the model's own words for a picture there. A prompt without any shows its pictures first.
    """

    @property
    def reads_images(self) -> bool:
        """Whether the model sees pictures; one that does not is refused for tasks that have them."""

    def count_tokens_with(self, prompt: str, images: Sequence[bytes]) -> int:
        """Length of the prompt in tokens, those of its pictures and special tokens included."""
