"""The executor `ray`: sampler and verifier actors on a cluster; schedule and run folder stay with the driver."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rlvr_harness import (
    Execution,
    ExecutionRequest,
    LocalWorkers,
    ModelRequest,
    OpenModel,
    PluginError,
    Sampler,
    UsageError,
    Verifier,
    VerifierWorkers,
    WorkerSource,
    WorkLimits,
    first_line,
)
from rlvr_ray.cluster import Seats, connect, leave, require_ray, reserve
from rlvr_ray.crew import Crew
from rlvr_ray.engine import Opening
from rlvr_ray.models import RemoteModel, StreamsModel, UnitsModel
from rlvr_ray.options import RayOptions, ray_options
from rlvr_ray.verifying import Bench, RemoteWorkers


class RayExecutor:
    """`--executor ray`."""

    description = "a Ray cluster: engines and verifiers as actors on all its machines"

    def threads(self, args: Mapping[str, Any]) -> int | None:
        """CPU threads of one engine. Raises UsageError for a fault of the arguments, and where ray is missing."""
        require_ray()
        return ray_options(args).threads

    def start(self, request: ExecutionRequest) -> Execution:
        """The cluster, joined or started, with the machines reserved."""
        options = ray_options(request.args)
        if request.device is not None and not request.device.isalpha():
            raise UsageError(f"--device {request.device}: with --executor ray it is Ray that chooses; use cuda")
        return RayExecution(options, request)


class RayExecution:
    """The machines of one run."""

    def __init__(self, options: RayOptions, request: ExecutionRequest) -> None:
        """Raises HarnessError where the cluster does not answer or has no room."""
        import ray

        self._options, self._request = options, request
        self._processes = request.workers or 1
        self._stack = ExitStack()
        with ExitStack() as undo:
            if connect(options):
                undo.callback(leave)
            cpus = request.threads if options.cpus_per_actor is None else options.cpus_per_actor
            self._seats: Seats = reserve(options, request.device, cpus, self._processes)
            undo.callback(ray.util.remove_placement_group, self._seats.group)
            self._bench = Bench(self._seats, self._processes, options.restarts) if self._seats.verifiers else None
            if self._bench is not None:
                undo.callback(self._bench.close)
            self._stack = undo.pop_all()

    def __enter__(self) -> Self:
        """The execution itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the actors, gives the machines back, and ends a cluster that was started for the run."""
        self._stack.close()

    @property
    def workers(self) -> int:
        """Verifier processes in all."""
        return self._bench.workers if self._bench else self._processes

    def open(self, sampler: Sampler, request: ModelRequest) -> OpenModel:
        """The model, loaded in every sampler actor."""
        try:
            pickled = pickle.dumps(sampler)
        except Exception as error:
            raise PluginError(
                f"sampler '{sampler.name}' cannot be sent to other machines ({first_line(error)}); use --executor local"
            ) from error
        is_folder = Path(request.path).is_dir()
        there = replace(
            request,
            path=str(Path(request.path).resolve()) if is_folder else request.path,
            args=_args(sampler.name, request.args),
            device=request.device or ("cuda" if self._gpus else "cpu"),
        )
        crew = Crew(self._seats, Opening(pickled, there, is_folder, str(Path.cwd())), self._options.restarts)
        with ExitStack() as undo:
            undo.callback(crew.close)
            crew.wait_until_open()
            undo.pop_all()
        kind: type[RemoteModel] = StreamsModel if crew.streams else UnitsModel
        model = kind(crew, self._crowding(crew))
        assert isinstance(model, StreamsModel | UnitsModel)
        return model

    def worker_source(self, verifier: Verifier) -> WorkerSource:
        """The verifier actors; processes of this machine where there are none."""
        bench = self._bench

        def start(limits: WorkLimits) -> VerifierWorkers:
            if bench is None:
                return LocalWorkers(verifier, self._processes, limits.memory_mb)
            return RemoteWorkers(bench, verifier, limits)

        return start

    def as_data(self) -> dict[str, Any]:
        """What run.json records of it."""
        import ray

        return {
            "executor": "ray",
            "ray": ray.__version__,
            "nodes": sum(node["Alive"] for node in ray.nodes()),
            "sampler_actors": list(self._seats.samplers),
            "verifier_actors": list(self._seats.verifiers),
        }

    @property
    def _gpus(self) -> float:
        return self._seats.samplers[0].get("GPU", 0.0)

    def _crowding(self, crew: Crew) -> float:
        """How many engines share one memory: those of a node on CPUs, those of a GPU where they have a share of it."""
        if self._gpus:
            return 1.0 / min(1.0, self._gpus)
        nodes = [member.place.node for member in crew.members if member.place]
        return float(max(nodes.count(node) for node in nodes))


def _args(sampler: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    if sampler != "vllm":
        return args
    # Inside a Ray actor vLLM would spread one engine's GPUs by Ray too, and ask it for GPUs that the actor already has.
    return {"distributed_executor_backend": "mp", **args}
