"""Rows of code benchmarks, as their files hold them, turned into tasks. Pure functions; nothing is read or fetched."""

from __future__ import annotations

from rlvr_sandbox.datasets.evalplus import evalplus_solution, evalplus_task
from rlvr_sandbox.datasets.livecodebench import livecodebench_task

__all__ = ["evalplus_solution", "evalplus_task", "livecodebench_task"]
