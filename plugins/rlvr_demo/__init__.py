"""The embedded demo: the Countdown task, its verifier, and the trainer of the checkpoints `demo/*`."""

from __future__ import annotations

from rlvr_demo.countdown_task import CountdownTask
from rlvr_demo.train import DemoTrainer
from rlvr_demo.verifier import CountdownVerifier
from rlvr_harness import Task, hookimpl


@hookimpl
def provide_tasks() -> list[Task]:
    """The task `countdown`."""
    return [CountdownTask()]


@hookimpl
def provide_verifiers() -> list[CountdownVerifier]:
    """The verifier of every step of a Countdown solution."""
    return [CountdownVerifier()]


@hookimpl
def provide_trainers() -> list[DemoTrainer]:
    """The trainer of the embedded checkpoints."""
    return [DemoTrainer()]
