"""The observer of a run: hands what happens to the trackers, each in a thread of its own."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rlvr_harness import UnknownName, UsageError, first_line, hookimpl
from rlvr_loggers.trackers import TRACKERS, Tracker

END_WAIT_S = 60.0
"""For what is still to be sent when the run is over: trackers retry for minutes where their server is gone."""


class LogObserver:
    """Follows one run at a time with the trackers of its `--log`."""

    def __init__(self) -> None:
        """Follows nothing yet."""
        self._followers: dict[Path, list[Follower]] = {}

    @hookimpl
    def run_started(self, spec: Mapping[str, Any], run_dir: Path) -> None:
        """Opens the trackers asked for. Raises UsageError where a library is missing, before any sampling."""
        names = spec.get("log") or []
        for name in names:
            if name not in TRACKERS:
                raise UnknownName(f"--log knows no '{name}'; there are: {', '.join(TRACKERS)}")
            if not _installed(name):
                raise UsageError(f"--log {name} needs a library that is not installed: pip install {name}")
        followers = [Follower(name, TRACKERS[name]()) for name in names]
        self._followers[run_dir] = followers
        for follower in followers:
            follower.tell(lambda tracker: tracker.start(spec, run_dir))

    @hookimpl
    def stage_finished(self, stage: str, run_dir: Path) -> None:
        """Notes the stage."""
        for follower in self._followers.get(run_dir, []):
            follower.tell(lambda tracker: tracker.stage(stage))

    @hookimpl
    def run_finished(self, results: Mapping[str, Any], run_dir: Path) -> None:
        """Sends the results, and waits a while until they are sent."""
        for follower in self._followers.pop(run_dir, []):
            follower.tell(lambda tracker: tracker.finish(results))
            follower.end(END_WAIT_S)


class Follower:
    """A tracker in a thread of its own: the run never waits for it, and its first failure ends it with one warning."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        """Starts the thread."""
        self._name, self._tracker = name, tracker
        self._calls: queue.Queue[Callable[[Tracker], None] | None] = queue.Queue()
        # A daemon: a server that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"log-{name}", daemon=True)
        self._thread.start()

    def tell(self, call: Callable[[Tracker], None]) -> None:
        """Leaves the call to the thread."""
        self._calls.put(call)

    def end(self, wait_s: float) -> None:
        """Waits until all is sent, at most this long; a warning where it is not."""
        self._calls.put(None)
        self._thread.join(wait_s)
        if self._thread.is_alive():
            self._warn(f"has not taken the results in {wait_s:.0f} s")

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call(self._tracker)
            except (Exception, SystemExit) as error:  # noqa: BLE001  (a library that may do anything; the error is told)
                self._warn(f"fails: {type(error).__name__}: {first_line(error)}")
                return

    def _warn(self, fault: str) -> None:
        way_out = f"`rlvr-harness export DIR --format {self._name}` sends finished results"
        if self._name == "mlflow":
            way_out = "check MLFLOW_TRACKING_URI"
        print(
            f"warning: --log {self._name} {fault}; the run goes on without it; {way_out}", file=sys.stderr, flush=True
        )


def _installed(library: str) -> bool:
    return sys.modules[library] is not None if library in sys.modules else find_spec(library) is not None
