"""A Ray cluster: joined or started, its machines reserved or refused, and left again."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rlvr_harness import HarnessError, UsageError, first_line
from rlvr_ray.options import RayOptions

MISSING = "--executor ray needs the ray package: pip install 'rlvr-harness[ray]'"
CONNECT_S = 10.0
HEALTH_S = 40.0
"""A Python that loads Ray asks the cluster whether it is well; the loading takes seconds on a busy machine."""
STORE_BYTES = 512 * 2**20
"""Object store of a cluster of our own: a unit of samples is a few megabytes; Ray's default is 30 % of all memory."""


def require_ray() -> None:
    """Raises UsageError with the way out where ray is not installed."""
    found = importlib.util.find_spec("ray")
    if found is None or found.origin is None:  # without an origin it is some folder called "ray"
        raise UsageError(MISSING)


def connect(options: RayOptions) -> bool:
    """Joins the cluster, or starts one on this machine; whether it has to be left at the end. Raises HarnessError."""
    require_ray()
    # Off, or a cluster that is started here reports on itself to Ray's makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return False
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    if address not in ("local", "auto"):
        _check_reachable(address)
    given: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        given |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        with _signals_kept():
            ray.init(**given)
    except Exception as error:
        raise HarnessError(_refusal(address, first_line(error))) from error
    return True


def leave() -> None:
    """Ends the connection, and a cluster that was started for it."""
    import ray

    with _signals_kept():
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts a handler of its own in the place of the harness's, with which Ctrl-C and SIGTERM would lose samples."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _refusal(address: str, fault: str) -> str:
    if address == "local":
        return f"no Ray cluster starts on this machine: {fault}"
    return (
        f"no Ray cluster answers at address={address}: {fault.rstrip('.')}; check the address with `ray status`, that "
        "ray and Python are the same version there, and that RAY_AUTH_TOKEN or ~/.ray/auth_token is the cluster's"
    )


def _check_reachable(address: str) -> None:
    """Raises HarnessError within seconds where Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise UsageError(f"--executor_args: address={address} is not HOST:PORT, auto or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise HarnessError(_refusal(address, str(error))) from error
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(command, capture_output=True, timeout=HEALTH_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise HarnessError(_refusal(address, f"no answer in {HEALTH_S:.0f} s")) from error
    if done.returncode:
        raise HarnessError(_refusal(address, "what listens there is no Ray cluster, or refuses this token"))


@dataclass(frozen=True)
class Seats:
    """What is reserved: one bundle of a placement group for each sampler actor, then one for each verifier actor."""

    group: Any
    samplers: Sequence[dict[str, float]]
    verifiers: Sequence[dict[str, float]]

    def options(self, number: int) -> dict[str, Any]:
        """Ray's options for the actor on bundle `number`."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        bundle = [*self.samplers, *self.verifiers][number]
        strategy = PlacementGroupSchedulingStrategy(self.group, placement_group_bundle_index=number)
        gpus = {"num_gpus": bundle["GPU"]} if "GPU" in bundle else {}
        return {"num_cpus": bundle.get("CPU", 0), **gpus, "scheduling_strategy": strategy, "max_restarts": 0}


def reserve(options: RayOptions, device: str | None, cpus: float, processes: int) -> Seats:
    """Reserves the machines. `cpus`: of a sampler actor; `processes`: of a verifier actor, a CPU each.

    Raises HarnessError with what the cluster has where that is not enough, after `wait_s` at most.
    """
    import ray

    have = ray.cluster_resources()
    gpus = options.gpus_per_actor
    if gpus is None:
        gpus = 0.0 if device == "cpu" or not have.get("GPU") else 1.0
    actors = options.sampler_actors or (max(1, int(have.get("GPU", 0) / gpus)) if gpus else 1)
    nodes = sum(node["Alive"] for node in ray.nodes())
    judges = nodes if options.verifier_actors is None else options.verifier_actors
    bundle = {"CPU": float(cpus), "GPU": float(gpus)}
    samplers = [{key: value for key, value in bundle.items() if value}] * actors
    verifiers = [{"CPU": float(processes)}] * judges
    bundles = [*samplers, *verifiers]
    if not all(bundles):
        raise UsageError("--executor_args: a sampler actor needs some of a CPU or GPU; raise cpus_per_actor")
    group = ray.util.placement_group(bundles, strategy="SPREAD" if gpus == 0 else "PACK")
    if not _wait_for(group, bundles, options.wait_s):
        ray.util.remove_placement_group(group)
        raise HarnessError(
            f"the Ray cluster has no room for {actors} sampler actors of {_words(bundle)} and {judges} verifier actors "
            f"of {processes:g} CPU: {_inventory()}; lower sampler_actors, cpus_per_actor, gpus_per_actor or "
            "verifier_actors in --executor_args, or give it more time with wait_s"
        )
    return Seats(group, samplers, verifiers)


def _wait_for(group: Any, bundles: Sequence[dict[str, float]], wait_s: float) -> bool:
    """Whether the bundles are reserved in time; what is larger than the whole cluster gets a moment only."""
    if group.wait(timeout_seconds=min(2.0, wait_s)):
        return True
    if wait_s > 2.0:
        print(f"waiting {wait_s:.0f} s at most for room: {_inventory()}", file=sys.stderr, flush=True)
    end = time.monotonic() + wait_s - 2.0
    while (left := end - time.monotonic()) > 0:
        if group.wait(timeout_seconds=min(1.0, left)):
            return True
    return False


def _words(bundle: dict[str, float]) -> str:
    return " and ".join(f"{count:g} {kind}" for kind, count in bundle.items() if count) or "no CPU"


def _inventory() -> str:
    """`2 nodes with 8 CPU and 2 GPU, of which 4 CPU and 0 GPU are free`."""
    import ray

    have, free = ray.cluster_resources(), ray.available_resources()
    kinds = [kind for kind in ("CPU", "GPU") if have.get(kind)] or ["CPU"]
    all_of = " and ".join(f"{have.get(kind, 0):g} {kind}" for kind in kinds)
    free_of = " and ".join(f"{free.get(kind, 0):g} {kind}" for kind in kinds)
    nodes = sum(node["Alive"] for node in ray.nodes())
    return f"it has {nodes} node{'s' if nodes > 1 else ''} with {all_of}, of which {free_of} are free"
