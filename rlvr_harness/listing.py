"""What `ls` prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rlvr_harness.executor_contracts import Executor
from rlvr_harness.presets import PRESETS
from rlvr_harness.profiles import PROFILES
from rlvr_harness.registry import PLURALS, BrokenPlugin, Plugin, Registry, load_working

SINGULARS = {plural: kind for kind, plural in PLURALS.items()}
OBSERVERS = ("run_started", "stage_finished", "run_finished")


def lines(kind: str, without: Sequence[str] = ()) -> list[str]:
    """One line per thing: its name, a tab, what it is. Broken plugins hide nothing but what they offer."""
    if kind == "presets":
        return [preset.line() for preset in PRESETS.values()]
    if kind == "prompts":
        return [f"{p.name}\t{p.description} (answer: {p.answer_policy}; after {p.source})" for p in PROFILES.values()]
    registry, broken = load_working(without)
    if kind == "plugins":
        found = {p.name: f"{_origin(p)}: {_offers(registry, p)}" for p in registry.plugins}
        found |= {one.plugin.name: f"{_origin(one.plugin)}: broken: {one.fault}" for one in broken}
        return [f"{name}\t{text}" for name, text in sorted(found.items())]
    _warn(broken)
    return [f"{thing.name}\t{_line_of(thing)}" for thing in registry.all(SINGULARS[kind])]


def _origin(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.version} ({plugin.module})"


def _offers(registry: Registry, plugin: Plugin) -> str:
    """The named things it provides, its executor (see `executing`), and the hooks by which it observes."""
    watched = [hook for hook in OBSERVERS if _implements(registry, hook, plugin.name)]
    executor = isinstance(getattr(sys.modules.get(plugin.module), "executor", None), Executor)
    parts = [
        registry.offers_of(plugin.name),
        "an executor" * executor,
        f"observes {', '.join(watched)}" if watched else "",
    ]
    return "; ".join(filter(None, parts)) or "no named thing"


def _implements(registry: Registry, hook: str, plugin: str) -> bool:
    return plugin in {each.plugin_name for each in getattr(registry.hooks, hook).get_hookimpls()}


def _line_of(thing: Any) -> str:
    """Its description, or a report section's title, on one line."""
    return " ".join(str(thing.description if hasattr(thing, "description") else thing.title).split())


def _warn(broken: Sequence[BrokenPlugin]) -> None:
    for one in broken:
        print(f"warning: {one.fault}", file=sys.stderr)
