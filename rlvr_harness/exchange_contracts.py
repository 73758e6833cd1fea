"""What importers of foreign samples promise: rows of texts with the verdicts that another program gave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rlvr_harness.contracts import Importer
from rlvr_harness.records import FinishReason, Outcome


@dataclass(frozen=True, slots=True)
class ForeignChoice:
    """Which of a file's readings the user wants; None: the only one there is.

    `task` is a name that the importer gave for the file. `metric` names a score, `threshold` is the score from which on
    a sample is right.
    """

    task: str | None = None
    metric: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class ForeignSample:
    """One completion as another program stored it; None stands for what its file does not tell.

    `outcome` is the other program's verdict. Where it is None, `reason` says why there is none.
    """

    text: str | None
    outcome: Outcome | None
    answer: str | None = None
    reason: str = ""
    finish_reason: FinishReason | None = None
    n_tokens: int | None = None
    logprob_sum: float | None = None


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """Some samples of one problem, in the order drawn; more rows of the problem may follow.

    `where` names file and line for messages. `fingerprint` is the file's own hash of the problem: the same problem has
    the same one in every model's file. `judge` names the score that decided. `right` is the number of right samples
    where the file tells no more than that; the samples then have no outcome.
    """

    where: str
    problem_id: str
    samples: Sequence[ForeignSample]
    prompt: str | None = None
    reference: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None
    judge: str = ""
    right: int | None = None


@runtime_checkable
class RecognisingImporter(Protocol):
    """An importer that can tell from a file's content whether it is of its format."""

    def recognises(self, path: Path) -> bool:
        """Whether the file or folder looks like this format; cheap, and never raises."""


@runtime_checkable
class SampleImporter(Importer, RecognisingImporter, Protocol):
    """An importer that reads texts and not only counts. `read` stays: counts of files that hold one task."""

    def tasks(self, path: Path) -> Sequence[str]:
        """Names of the tasks that the file or folder says it holds; empty where it names none."""

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """The samples of one task, as a stream. Raises TaskError naming file and line of a fault."""
