"""Names in a run folder: which parts there are, and which of them another one replaces.

`part-000007.parquet` is what one commit wrote. `part-000041-from-000000.parquet` is what compaction made of the parts
0 to 41: it stands for every part within that range, so a folder in which some of them still lie reads the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

_PART = re.compile(r"part-(\d{6,})(?:-from-(\d{6,}))?\.parquet")
_TEMPORARY = re.compile(r"\.part-\d{6,}(-from-\d{6,})?\.parquet\.tmp")


@dataclass(frozen=True, order=True)
class Part:
    """A part by its name: it holds what the commits `first` to `last` wrote."""

    last: int
    first: int
    path: Path

    @property
    def commits(self) -> int:
        """How many numbers it stands for."""
        return self.last - self.first + 1

    def covers(self, other: Part) -> bool:
        """Whether it replaces the other one."""
        return self.path != other.path and self.first <= other.first and other.last <= self.last


def part_name(last: int, first: int | None = None) -> str:
    """Name of a part; `first` where it replaces the parts from there on."""
    return f"part-{last:06d}.parquet" if first is None else f"part-{last:06d}-from-{first:06d}.parquet"


def all_parts(folder: Path) -> list[Part]:
    """Every part, the replaced ones too, in the order of their numbers; other files are not ours."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _PART.fullmatch(path.name)
        if match:
            last = int(match[1])
            found.append(Part(last, int(match[2]) if match[2] else last, path))
    return sorted(found)


def live_parts(folder: Path) -> list[Part]:
    """The parts that no other one replaces, in the order of their numbers."""
    live: list[Part] = []
    # By falling end and rising begin, a part that covers another comes before it.
    for part in sorted(all_parts(folder), key=lambda each: (-each.last, each.first)):
        if not any(kept.covers(part) for kept in live[-1:]):
            live.append(part)
    return sorted(live)


def covered_parts(folder: Path) -> list[Part]:
    """The parts that another one replaces: what is left of a compaction that was cut short."""
    live = set(live_parts(folder))
    return [part for part in all_parts(folder) if part not in live]


def unfinished_files(folder: Path) -> list[Path]:
    """Temporary files of a writer that was ended."""
    return sorted(path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name))


def is_compaction(path: Path) -> bool:
    """Whether a file, finished or not, is one that compaction makes: it holds nothing that other parts do not."""
    return "-from-" in path.name


def part_folders(root: Path, top: str) -> Iterator[Path]:
    """The folders of a kind of part that hold parts, or what is left of one, in order."""
    depth = "*/*" if top == "samples" else "*/*/*"
    for folder in sorted((root / top).glob(depth)):
        if folder.is_dir() and (all_parts(folder) or unfinished_files(folder)):
            yield folder


def next_number(parts: Sequence[Part]) -> int:
    """Number of the next commit."""
    return max((part.last for part in parts), default=-1) + 1


def samples_folder(root: Path, task: str, model: str) -> Path:
    """Where the samples of one model on one task lie."""
    return root / "samples" / escape(task) / escape(model)


def verdicts_folder(root: Path, task: str, model: str, verifier: str) -> Path:
    """Where the verdicts of one verifier on one model's samples lie."""
    return root / "verdicts" / escape(task) / escape(model) / escape(verifier)


def scores_folder(root: Path, top: str, task: str, scorer: str, author: str) -> Path:
    """Where what a model says of an author's texts on one task lies; `top` as of the part's kind."""
    return root / top / escape(task) / escape(scorer) / escape(author)


def problems_file(folder: Path, task: str, role: str | None = None) -> Path:
    """Where a task's problems lie; `role` for a model that is given prompts of its own."""
    return folder / "problems" / f"{escape(task)}{f'@{role}' if role else ''}.parquet"


@cache
def escape(name: str) -> str:
    """One path component: letters, digits and . _ - : as they are. `a/b` -> `a%2Fb`, `..` -> `%2E%2E`."""
    return quote(name, safe=":") if name.strip(".") else "%2E" * len(name)
