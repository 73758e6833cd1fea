"""Where the work of a run is done: on this machine, or on the machines of a plugin's executor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rlvr_harness.contracts import OpenModel, Sampler, Verifier
from rlvr_harness.errors import PluginError, UnknownName, UsageError
from rlvr_harness.executor_contracts import Execution, ExecutionRequest, Executor, VerifierWorkers, WorkerSource
from rlvr_harness.registry import Registry
from rlvr_harness.requests import ModelRequest, WorkLimits
from rlvr_harness.verifier_workers import LocalWorkers

LOCAL = "local"


@dataclass(frozen=True)
class LocalExecution:
    """This machine: one engine in this process, `workers` verifier processes for each task."""

    workers: int = 1

    def __enter__(self) -> Self:
        """The execution itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was started."""

    def open(self, sampler: Sampler, request: ModelRequest) -> OpenModel:
        """The model as the sampler opens it."""
        return sampler.open(request)

    def worker_source(self, verifier: Verifier) -> WorkerSource:
        """Worker processes of this one."""

        def start(limits: WorkLimits) -> VerifierWorkers:
            return LocalWorkers(verifier, self.workers, limits.memory_mb)

        return start

    def as_data(self) -> dict[str, Any]:
        """What run.json records of it."""
        return {"executor": LOCAL}


class LocalExecutor:
    """`--executor local`."""

    description = "this machine: one engine at a time, verifiers in processes beside it"

    def threads(self, args: Mapping[str, Any]) -> int | None:
        """No opinion. Raises UsageError for arguments, of which there are none."""
        if args:
            raise UsageError(f"--executor local takes no --executor_args ({', '.join(args)}); did you mean ray?")
        return None

    def start(self, request: ExecutionRequest) -> Execution:
        """This machine."""
        return LocalExecution(request.workers or request.threads)


def find_executor(registry: Registry, name: str) -> Executor:
    """`local`, or the executor of the plugin of that name. Raises UnknownName, and PluginError for one that is none."""
    if name == LOCAL:
        return LocalExecutor()
    offered = {plugin.name: getattr(sys.modules.get(plugin.module), "executor", None) for plugin in registry.plugins}
    if offered.get(name) is None:
        known = sorted(plugin for plugin, executor in offered.items() if isinstance(executor, Executor))
        raise UnknownName(f"no plugin offers an executor named '{name}'; there are: {', '.join([LOCAL, *known])}")
    found = offered[name]
    if not isinstance(found, Executor):
        raise PluginError(f"plugin '{name}': its `executor` is not an Executor: {found!r}")
    return found
