"""The confined worker: started once, forks a child for each program, and is the only one that the judge talks to."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from . import bubble, confine, contained, runner, supervise, weak, wire
from .forker import Forker

_IN, _OUT = 0, 1
# What programs import most; loaded once, it costs them nothing. Not threading: its work after a fork costs 0.4 ms.
_PRELOADED = (
    "array", "bisect", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "heapq", "io", "itertools", "json", "math", "numbers", "operator", "random", "re",
    "statistics", "string", "textwrap", "time", "traceback", "typing", "unicodedata", "hashlib", "lzma",
    "bz2", "zlib", "_socket", "select",
)  # fmt: skip


def serve() -> None:
    """Reads the settings, shuts itself in, says hello, and runs job after job until the judge closes its end."""
    settings = json.loads(wire.read(_IN).body)
    os.environ.clear()
    os.environ.update(runner.ENVIRONMENT)
    try:
        confinement = _confinement(settings)
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
    forker = Forker(confinement, _IN)
    wire.write_json(_OUT, b"H", {**hello, "error": ""})
    try:
        while _next_job(confinement, forker):
            pass
    finally:
        confinement.clear()  # what a forking process that was killed has left
        if settings["scratch"]:
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


def _next_job(confinement: confine.Confinement, forker: Forker) -> bool:
    """Runs one job; False when the judge is gone or something is not as it should be."""
    try:
        frame = wire.read(_IN)
        if frame.kind != b"J":
            return True  # a stop that came after its job had ended
        clean = _run(json.loads(frame.body), confinement, forker)
        wire.write_json(_OUT, b"D", {"clean": clean})
    except (wire.Broken, supervise.JudgeGone, BrokenPipeError):
        return False
    return clean


def _run(job: Mapping[str, Any], confinement: confine.Confinement, forker: Forker) -> bool:
    results, results_end = os.pipe()
    output, output_end = os.pipe()
    try:
        pid = forker.start(job, results_end, output_end)
    finally:
        os.close(results_end)
        os.close(output_end)
    try:
        os.set_blocking(results, False)
        os.set_blocking(output, False)
        watch = supervise.Watch(job, pid, supervise.Ends(results, output, _IN, _OUT), forker, confinement)
        watch.run()
        return watch.clean
    finally:
        os.close(results)
        os.close(output)
