"""Every error a user can meet, in one small tree.

HarnessError            something went wrong; exit 1
├── UsageError          the request itself is wrong; exit 2
│   ├── UnknownName     no task, verifier, sampler, model or preset of that name
│   └── TooFewSamples   a metric was asked for more samples than there are
├── PluginError         a plugin does not import, or breaks the rules of the registry
├── TaskError           a data set or task file is missing, unreachable or malformed
├── ModelError          a checkpoint cannot be loaded or cannot do what was asked
├── RunFolderError      the run folder is locked, foreign, damaged, or the disk is full
└── VerifierLost        a verifier worker died or ran out of time: the verdict is void

A message names the thing, the fault and the way out, in one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HarnessError(Exception):
    """Base of all errors shown to a user as one line; `exit_code` is the process's exit status."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 300 characters, or its type where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known name is near, else an empty text."""
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


class UsageError(HarnessError):
    """The command, option or configuration cannot be meant as written."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that no plugin offers."""


class TooFewSamples(UsageError):
    """A metric at k needs k verified samples and there are fewer."""


class PluginError(HarnessError):
    """A plugin failed to load or offers what the registry must refuse; `plugin` is its name, where that is known."""

    def __init__(self, message: str, plugin: str | None = None) -> None:
        """The line for the user, and whose fault it is."""
        super().__init__(message)
        self.plugin = plugin


class TaskError(HarnessError):
    """A task's definition or data is missing, unreachable or malformed."""


class ModelError(HarnessError):
    """A checkpoint cannot be opened, or cannot serve the request."""


class RunFolderError(HarnessError):
    """The run folder cannot be used as asked; what it holds is untouched."""


class VerifierLost(HarnessError):
    """The harness, not the model, failed to produce a verdict."""
