"""What `ls` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rlvr_harness.presets import PRESETS
from rlvr_harness.profiles import PROFILES
from rlvr_harness.registry import PLURALS, load_plugins

SINGULARS = {plural: kind for kind, plural in PLURALS.items()}


def lines(kind: str, without: Sequence[str] = ()) -> list[str]:
    """One line per thing: its name, a tab, what it is."""
    if kind == "presets":
        return [preset.line() for preset in PRESETS.values()]
    if kind == "prompts":
        return [f"{p.name}\t{p.description} (answer: {p.answer_policy}; after {p.source})" for p in PROFILES.values()]
    registry = load_plugins(without)
    if kind == "plugins":
        return [
            f"{p.name}\t{p.distribution} {p.version} ({p.module}): {registry.offers_of(p.name)}"
            for p in registry.plugins
        ]
    return [f"{thing.name}\t{thing.description}" for thing in registry.all(SINGULARS[kind])]
