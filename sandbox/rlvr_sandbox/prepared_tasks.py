"""The tasks that a judge met last, made ready, so that the next program of the same task costs nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict

from rlvr_sandbox.preparing import PreparedTask, prepare
from rlvr_sandbox.records import CodeTask

# A task of a benchmark holds up to some megabytes, and programs of one task come together.
_KEPT = 64


class PreparedTasks:
    """The last 64 tasks, told apart as objects: a task that is asked for again must not have been changed meanwhile."""

    def __init__(self) -> None:
        """None yet."""
        self._tasks: OrderedDict[int, PreparedTask] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, task: CodeTask) -> PreparedTask:
        """The task made ready. Raises TaskInvalid."""
        with self._lock:
            found = self._tasks.get(id(task))  # it holds the task, so that no other can have its id
            if found is not None:
                self._tasks.move_to_end(id(task))
                return found
        found = prepare(task)
        with self._lock:
            self._tasks[id(task)] = found
            if len(self._tasks) > _KEPT:
                self._tasks.popitem(last=False)
        return found
