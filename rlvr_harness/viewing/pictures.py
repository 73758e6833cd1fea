"""The pictures of problems: which ones a page shows, and the bytes of one.

A run folder holds no pictures. A task's are read again from its data when a page first needs them, and shown only where
they are those of the run. They are asked for by problem and number, never by a path.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from rlvr_harness.profiles import PROFILES
from rlvr_harness.report import reading
from rlvr_harness.stages.prompting import hash_prompts
from rlvr_harness.viewing.asked import NotThere
from rlvr_harness.viewing.index import Snapshot
from rlvr_harness.viewing.shown import plain_line

WAIT_S = 10.0
"""How long a page waits for pictures: loading lm-eval and some thousand files takes about that on a slow machine."""
AGAIN_S = 15.0
"""How long a fault is told before the data is looked for again: someone may have put it there meanwhile."""
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True)
class Found:
    """The pictures of a task by problem id, in order; `fault`: why there are none to show, in one line."""

    images: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    fault: str = ""


Loader = Callable[[Snapshot, str], Found]
"""Reads the pictures of a task; may take long, raises nothing that a task or a folder can be to blame for."""


@dataclass(frozen=True)
class Picture:
    """One picture of a problem; `content_type` '' for a file that no browser is given."""

    number: int
    name: str
    content: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True)
class Strip:
    """What stands above a prompt: pictures, or a line that says why there are none."""

    pictures: tuple[Picture, ...] = ()
    note: str = ""


NO_PICTURES = Strip()


def content_type(content: bytes) -> str:
    """The type of a raster picture by its first bytes; '' for anything else, SVG too, which can hold scripts."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((named for start, named in _BEGINNINGS if content.startswith(start)), "")


@dataclass(frozen=True)
class _Asked:
    future: Future[Found] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    def outdated(self, again_s: float) -> bool:
        """Whether a fault was told for so long that the data is worth another look."""
        failed = self.future.done() and (self.future.exception() is not None or bool(self.future.result().fault))
        return failed and time.monotonic() - self.since > again_s


class Pictures:
    """The pictures of one run folder, each task's loaded in a thread of its own and kept; safe for many threads."""

    def __init__(self, load: Loader | None = None, wait_s: float = WAIT_S, again_s: float = AGAIN_S) -> None:
        """Nothing is read yet. Without a loader no task has pictures."""
        self._load = load
        self._wait_s = wait_s
        self._again_s = again_s
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, str], _Asked] = {}

    def strip(self, snapshot: Snapshot, task: str, problem_id: str) -> Strip:
        """What stands above the prompt of a problem."""
        try:
            found = self._future(snapshot, task).result(self._wait_s)
        except TimeoutError:
            return Strip(note="Pictures of this task are still being read from its data; reload the page in a while.")
        named = plain_line(problem_id, 80)
        return Strip(
            tuple(
                Picture(number, f"picture {number} of problem {named}", content, content_type(content))
                for number, content in enumerate(found.images.get(problem_id, ()), start=1)
            ),
            found.fault,
        )

    def one(self, snapshot: Snapshot, task: str, problem_id: str, number: int) -> Picture:
        """Picture `number`, from 1 on, of a problem. Raises NotThere."""
        strip = self.strip(snapshot, task, problem_id)
        picture = next((each for each in strip.pictures if each.number == number), None)
        if picture is None:
            raise NotThere(strip.note or f"problem {problem_id[:80]!r} has no picture {number}")
        if not picture.content_type:
            raise NotThere(f"the file of {picture.name} is no PNG, JPEG, WebP or GIF, and is not shown")
        return picture

    def _future(self, snapshot: Snapshot, task: str) -> Future[Found]:
        key = (task, _prompt_hash(snapshot, task))
        with self._lock:
            if key not in self._asked or self._asked[key].outdated(self._again_s):
                self._asked[key] = asked = _Asked()
                if self._load is None or shows_none(snapshot, task):
                    asked.future.set_result(Found())
                else:
                    # A daemon: data on a disk that hangs must not keep the server from ending.
                    work = (self._load, asked.future, snapshot, task)
                    threading.Thread(target=_fill, args=work, name=f"pictures of {task}", daemon=True).start()
            return self._asked[key].future


def _fill(load: Loader, future: Future[Found], snapshot: Snapshot, task: str) -> None:
    try:
        future.set_result(load(snapshot, task))
    except BaseException as error:  # noqa: BLE001  (whoever waits for the pictures raises it)
        future.set_exception(error)


def shows_none(snapshot: Snapshot, task: str) -> bool:
    """Whether the run folder alone proves that a task has no pictures.

    Its hash of the prompts then comes out without any, for the stop strings that tasks have: none, or the profile's.
    """
    recorded = _prompt_hash(snapshot, task)
    held = snapshot.tasks[task]
    if not recorded or not held.problems:
        return True
    profile = PROFILES.get(str(reading.at(snapshot.folder.run, "spec", "prompt")))
    variants = [problem for role in held.own for problem in held.own[role].values()]
    problems = [*held.problems.values(), *variants]
    return any(
        hash_prompts([replace(problem, stop=stop) for problem in problems]) == recorded
        for stop in dict.fromkeys(((), profile.stop if profile else ()))
    )


def _prompt_hash(snapshot: Snapshot, task: str) -> str:
    recorded = reading.at(snapshot.folder.run, "tasks", task, "prompt_hash")
    return recorded if isinstance(recorded, str) and "spec" in snapshot.folder.run else ""
