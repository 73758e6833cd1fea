"""What an executor promises: the machines that the engines and verifiers of a run work on. Chosen by `--executor`."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from rlvr_harness.contracts import OpenModel, Sampler
from rlvr_harness.records import Problem, Sample, Verdict
from rlvr_harness.requests import ModelRequest, WorkLimits


@dataclass(frozen=True, slots=True)
class ExecutionRequest:
    """What a run asks of an executor. `args` are its own, as in `--executor_args`.

    `threads`: CPU threads of one engine. `workers`: verifier processes asked for, None for the executor's default.
    """

    args: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    threads: int = 1
    workers: int | None = None


class VerifierWorkers(Protocol):
    """Worker processes for one verifier; `active` until they are stopped or broken beyond repair."""

    @property
    def active(self) -> bool:
        """Whether further calls can be taken."""

    def call(self, problem: Problem, sample: Sample, wall_s: float) -> Future[Verdict]:
        """The verdict to come; TimeoutError past `wall_s`, VerifierLost for a worker that died."""

    def stop(self) -> None:
        """Ends the workers at once; calls under way are dropped."""


class WorkerSource(Protocol):
    """Starts the workers of a verifier; called again when those it gave are no longer active."""

    def __call__(self, limits: WorkLimits) -> VerifierWorkers:
        """Workers that keep the memory limit."""


class Execution(Protocol):
    """The machines of one run, ready; a context manager that gives them back at its end."""

    def __enter__(self) -> Self:
        """The execution itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends everything that was started."""

    def open(self, sampler: Sampler, request: ModelRequest) -> OpenModel:
        """The model, loaded wherever it is to run; a `StreamingModel` or `ParallelModel` where there are several."""

    @property
    def workers(self) -> int:
        """Verifier processes in all."""

    def worker_source(self, verifier: Any) -> WorkerSource:
        """Where the workers of this verifier come from."""

    def as_data(self) -> dict[str, Any]:
        """What run.json records of it."""


@runtime_checkable
class Executor(Protocol):
    """Runs the work of a run somewhere. A plugin offers one as `executor` in its module, under the plugin's name."""

    @property
    def description(self) -> str:
        """One line."""

    def threads(self, args: Mapping[str, Any]) -> int | None:
        """CPU threads of one engine by these arguments, None where they say nothing. Raises UsageError for a fault."""

    def start(self, request: ExecutionRequest) -> Execution:
        """The machines. Raises HarnessError in one line where they cannot be had; never waits without a limit."""
