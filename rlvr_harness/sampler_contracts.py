"""What a sampler may offer beyond the contract that all of them obey: several units at a time, pictures, engines that
serve several models or stand beside others, and an account of what was used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from rlvr_harness.contracts import OpenModel, Sampler
from rlvr_harness.records import Sample
from rlvr_harness.requests import ModelRequest, SamplingLaw, WorkUnit


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


@runtime_checkable
class SharingSampler(Protocol):
    """A `Sampler` whose engine can serve several models of a run one after another, as base and adapter of one base."""

    def sharing(self, requests: Sequence[ModelRequest]) -> AbstractContextManager[Sampler]:
        """The sampler that opens the models of one run, all of which are named beforehand.

        A model that it opens is closed before the next is opened; its engine may stay until a model that needs another
        one is opened. What an engine is does not depend on which models are opened, or when. Everything is freed where
        the context ends.
        """


class EarlyEnd(Protocol):
    """Tells an engine, in whatever it waits for, that its run ends early."""

    def fileno(self) -> int:
        """Of a file that becomes readable then; for `multiprocessing.connection.wait` and its like."""


@runtime_checkable
class SideBySideSampler(Protocol):
    """A `Sampler` whose models can be sampled at the same time, each from a thread of its own."""

    def open_beside(self, request: ModelRequest, ending: EarlyEnd) -> OpenModel:
        """The model, in processes of its own: threads of one would share an interpreter, and random numbers.

        Its texts are those of the model that `open` gives. Once `ending` is readable, whatever waits for the engine,
        here or in the model, raises ModelError; `close` frees everything as ever.
        """


@runtime_checkable
class MeteredModel(Protocol):
    """An `OpenModel` whose use is counted; the run records the sum over all its parts."""

    def usage(self) -> Mapping[str, float]:
        """Counts since the model was opened, by name ("requests", "prompt_tokens", "cost"); all of them add up."""


@runtime_checkable
class NotedModel(Protocol):
    """An `OpenModel` that knows where its samples may differ from what the sampling law says."""

    def law_notes(self) -> Sequence[str]:
        """What a reader of the results must know of that, one line each; asked for when the model is done."""
