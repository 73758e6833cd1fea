"""Code tasks, the verifier that runs their programs in a sandbox, the sandboxes, and the verifier as a reward."""

from __future__ import annotations

from rlvr_code.evalplus_tasks import EvalPlusTask
from rlvr_code.livecodebench_task import LiveCodeBenchTask
from rlvr_code.reward import CodeReward
from rlvr_code.sandboxes import NamedSandbox, named_sandboxes
from rlvr_code.verifier import CodeVerifier
from rlvr_harness import Task, hookimpl

__all__ = ["CodeReward", "CodeVerifier"]


@hookimpl
def provide_tasks() -> list[Task]:
    """HumanEval+, MBPP+ and LiveCodeBench."""
    return [EvalPlusTask("humanevalplus"), EvalPlusTask("mbppplus"), LiveCodeBenchTask()]


@hookimpl
def provide_verifiers() -> list[CodeVerifier]:
    """The verifier of programs."""
    return [CodeVerifier()]


@hookimpl
def provide_sandboxes() -> list[NamedSandbox]:
    """local, bwrap, docker and unsafe."""
    return named_sandboxes()
