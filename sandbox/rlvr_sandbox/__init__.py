"""Judges programs that nobody has read: run out of reach of the machine, ruled on by answers they never see."""

from rlvr_sandbox.cache import Cache
from rlvr_sandbox.calibrate import calibrate
from rlvr_sandbox.errors import SandboxError, SandboxUnavailable, TaskInvalid
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.records import CodeTask, Judgement, Limits, Ruling, Style

__all__ = [
    "Cache",
    "CodeTask",
    "Judge",
    "Judgement",
    "Limits",
    "Ruling",
    "SandboxError",
    "SandboxUnavailable",
    "Style",
    "TaskInvalid",
    "calibrate",
]
