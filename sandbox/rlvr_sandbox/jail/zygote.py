"""The confined worker: started once, forks a child for each program, and is the only one that the judge talks to."""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import bubble, confine, contained, huge_code, runner, supervise, weak, wire
from .forker import Forker

_IN, _OUT = 0, 1
# What programs import most; loaded once, it costs them nothing. Not threading: its work after a fork costs 0.4 ms. Nor
# what few import and is large: 1 MB more costs each program some 5 % of its time. That is `dataclasses` (1.5 MB with
# `inspect` and `ast` below it), `datetime` and `statistics`; who imports those pays for it.
_PRELOADED = (
    "array", "bisect", "cmath", "collections", "copy", "decimal", "enum", "fractions", "functools", "heapq", "io",
    "itertools", "json", "math", "numbers", "operator", "random", "re", "string", "textwrap", "time", "typing",
)  # fmt: skip


def serve() -> None:
    """Reads the settings, shuts itself in, says hello, and runs job after job until the judge closes its end."""
    settings = json.loads(wire.read(_IN).body)
    os.environ.clear()
    os.environ.update(runner.ENVIRONMENT)
    try:
        confinement = _confinement(settings)
        if not confinement.wraps:
            huge_code.use()
        _preload(_PRELOADED)
        confinement.enter()
        _preload(settings["preload"])
    except OSError as error:
        wire.write_json(_OUT, b"H", {"level": 0, "error": str(error), "mechanisms": [], "missing": [], "pid": 0})
        return
    hello = {
        "level": confinement.level,
        "mechanisms": confinement.mechanisms,
        "missing": confinement.missing,
        "pid": confinement.pid,
    }
    gc.collect()
    gc.freeze()
    gc.disable()
    forker, jobs = Forker(confinement, _IN, hooks=bool(settings["preload"])), _Jobs()
    wire.write_json(_OUT, b"H", {**hello, "error": ""})
    try:
        while _next_job(confinement, forker, jobs):
            pass
    finally:
        confinement.clear()  # what a forking process that was killed has left
        if settings["scratch"]:
            import shutil  # large: not in the memory of every program

            shutil.rmtree(settings["scratch"], ignore_errors=True)


def _confinement(settings: Mapping[str, Any]) -> confine.Confinement:
    kind, modules, scratch = settings["confinement"], settings["modules"], settings["scratch"]
    if kind == "namespaces":
        return confine.Namespaced(modules, settings["spare_id"])
    if kind == "bwrap":
        return bubble.Bubblewrap(scratch, modules, settings["bwrap"], settings["spare_id"])
    if kind == "container":
        return contained.Contained(scratch, modules, settings["user"])
    weaker = {"uid": weak.OwnUid, "limits": weak.Filtered, "none": weak.Plain}
    return weaker[kind](scratch, modules)


def _preload(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):  # a Python built without lzma is still a Python
            __import__(name)


class _Jobs:
    """What the judge asks for. Most jobs have the limits of the one before, which are then not read again."""

    def __init__(self) -> None:
        self._text = b""
        self._known: dict[str, Any] = {}

    def read(self, body: bytes) -> dict[str, Any]:
        """The job of a frame: its number, then the rest as JSON."""
        text = body[wire.NUMBER_SIZE :]
        if text != self._text:
            self._text, self._known = text, json.loads(text)
        return {**self._known, "id": body[: wire.NUMBER_SIZE]}


def _next_job(confinement: confine.Confinement, forker: Forker, jobs: _Jobs) -> bool:
    """Runs one job; False when the judge is gone or something is not as it should be."""
    try:
        frame = wire.read(_IN)
        if frame.kind != b"J":
            return True  # a stop that came after its job had ended
        watch = _run(jobs.read(frame.body), confinement, forker)
        done = wire.frame(b"D", b"clean" if watch.clean else b"")
        wire.write_all(_OUT, watch.last_reports() + done)
    except (wire.Broken, supervise.JudgeGone, BrokenPipeError):
        return False
    return watch.clean


def _run(job: Mapping[str, Any], confinement: confine.Confinement, forker: Forker) -> supervise.Watch:
    # What a program prints is nobody's concern unless it is its answer.
    pipes = [os.pipe() for _ in range(2 if job["style"] == runner.SCRIPT else 1)]
    try:
        pid = forker.start(job, [theirs for _, theirs in pipes])
    finally:
        for _, theirs in pipes:
            os.close(theirs)
    try:
        for ours, _ in pipes:
            os.set_blocking(ours, False)
        results, output = [*(ours for ours, _ in pipes), -1][:2]
        watch = supervise.Watch(job, pid, supervise.Ends(results, output, _IN, _OUT), forker, confinement)
        watch.run()
        return watch
    finally:
        for ours, _ in pipes:
            os.close(ours)
