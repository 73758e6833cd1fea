"""Tells plugins how a run goes. What an observer fails at never costs the run: it is told once, and the run goes on."""

from __future__ import annotations

import sys
from typing import Any

from rlvr_harness.errors import HarnessError, first_line


class Observers:
    """The plugins that implement `run_started`, `stage_finished` or `run_finished`."""

    def __init__(self, hooks: Any) -> None:
        """`hooks`: those of the registry."""
        self._hooks = hooks
        self._failed: set[str] = set()

    def tell(self, event: str, **facts: Any) -> None:
        """Calls every observer of the event. Raises HarnessError only of `run_started`: a refusal before any sample."""
        for observer in reversed(getattr(self._hooks, event).get_hookimpls()):  # pluggy keeps them last call first
            if observer.plugin_name in self._failed:
                continue
            try:
                observer.function(*(facts[name] for name in observer.argnames))
            except (Exception, SystemExit) as error:
                if event == "run_started" and isinstance(error, HarnessError):
                    raise
                self._failed.add(observer.plugin_name)
                print(
                    f"warning: plugin '{observer.plugin_name}' fails in {event}: {type(error).__name__}: "
                    f"{first_line(error)}; the run goes on without it",
                    file=sys.stderr,
                    flush=True,
                )
