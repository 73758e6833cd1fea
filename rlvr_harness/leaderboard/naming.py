"""Names of pages and anchors: safe on every file system, one for each name, the same in every build."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rlvr_harness.leaderboard.folders import digest_of

SHORTEST = 8
"""Digits of a hash in a name; more where two names would meet."""
LONGEST_STEM = 48


def page_names(names: Iterable[str]) -> dict[str, str]:
    """Name -> file name without ending: "Qwen/Qwen2.5-7B" -> "qwen-qwen2.5-7b-1f0c2a7b"; never twice the same."""
    digests = {name: digest_of(name) for name in names}
    digits = enough_digits(digests.values())
    return {name: f"{_stem(name)}-{digest[:digits]}".lstrip("-") for name, digest in digests.items()}


def enough_digits(digests: Iterable[str]) -> int:
    """How many leading digits tell these hashes apart, at least SHORTEST."""
    distinct = set(digests)
    digits = SHORTEST
    while len({digest[:digits] for digest in distinct}) < len(distinct):
        digits += 1
    return digits


def _stem(name: str) -> str:
    """Harmless characters only, no dots in front or behind; file systems may not tell capitals apart."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower())[:LONGEST_STEM].strip("-._")
