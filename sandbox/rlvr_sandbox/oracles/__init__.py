"""How an answer is held against the expected one, by name. An oracle sees decoded data only, in the judge's process.

An oracle is prepared once for a task and then asked once per test. It may raise on data that it cannot compare: the
judge takes that as a wrong answer, unless the expected answer itself makes it raise.
"""

from __future__ import annotations

from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.oracles.contract import Accepts, Oracle
from rlvr_sandbox.oracles.evalplus import evalplus
from rlvr_sandbox.oracles.livecodebench import lcb_compat
from rlvr_sandbox.oracles.text import lines
from rlvr_sandbox.oracles.values import close, exact
from rlvr_sandbox.records import CodeTask

__all__ = ["Accepts", "Oracle", "oracles", "prepare"]


def oracles() -> dict[str, Oracle]:
    """Every oracle by name. `equal` and `float` are other names of `exact` and `close`."""
    return {
        "exact": exact,
        "equal": exact,
        "close": close,
        "float": close,
        "lines": lines,
        "lcb-compat": lcb_compat,
        "evalplus": evalplus,
    }


def prepare(task: CodeTask) -> Accepts:
    """The task's oracle, ready for its tests. Raises TaskInvalid where it is unknown or its settings make no sense."""
    known = oracles()
    if task.oracle not in known:
        raise TaskInvalid(f"task {task.name}: no oracle {task.oracle!r}; there are {', '.join(sorted(known))}")
    return known[task.oracle](task)
