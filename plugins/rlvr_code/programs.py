"""From a completion to the program that is judged: a pure function of problem and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rlvr_code.extraction import after_thought, last_answer, last_program
from rlvr_code.sanitising import needed_by, parse, parseable_prefix

CONTINUATION = "continuation"
"""Answer policy: the completion goes on where the prompt's code ends."""
PROGRAM = "code"
"""Answer policy: the last complete fenced program, of the answer tags where there are any."""
TAGS = "tags"
"""Answer policy: what stands between the last answer tags, fenced or not."""
POLICIES = (CONTINUATION, PROGRAM, TAGS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a problem asks for: where the program stands, the code that it goes on from, and the name it must define.

    `entry` is None for a program that is judged as it stands, on standard input or by a class.
    """

    policy: str
    code: str = ""
    entry: str | None = None
    hint: str | None = None
    """Name that tells the wanted program from others in the text."""


def wanted_of(metadata: Mapping[str, Any]) -> Wanted:
    """What a code task wrote into a problem's metadata."""
    entry = metadata.get("entry_point") or None
    whole = entry is None or "." in entry
    code = "" if whole else str(metadata.get("prompt", ""))
    return Wanted(str(metadata.get("answer_policy", PROGRAM)), code, None if whole else entry, entry)


@lru_cache(maxsize=256)  # a completion is asked about three times: for its key, its quick verdict and its verdict
def read_program(text: str, wanted: Wanted) -> str | None:
    """The program of a completion, None where there is none. Never raises."""
    if wanted.policy == CONTINUATION and wanted.entry is not None:
        return _continued(text, wanted) or _fenced(text, wanted)
    rest = after_thought(text)
    if rest is None:
        return None
    answer = last_answer(rest)
    if answer is not None:
        return _fenced(answer, wanted) or _bare(answer, wanted)
    return None if wanted.policy == TAGS else _fenced(rest, wanted) or _bare(rest, wanted)


def _continued(text: str, wanted: Wanted) -> str | None:
    """The prompt's code and what goes on from it; None where nothing that the entry point needs was added."""
    assert wanted.entry is not None
    program = needed_by(parseable_prefix(wanted.code + text), wanted.entry, first_wins=True)
    return None if program == needed_by(parseable_prefix(wanted.code), wanted.entry, first_wins=True) else program


def _fenced(text: str, wanted: Wanted) -> str | None:
    code = last_program(text, wanted.hint)
    if code is None or wanted.entry is None:
        return code
    return _sanitised(code, wanted)


def _bare(text: str, wanted: Wanted) -> str | None:
    """A text that is nothing but a program which defines the wanted name."""
    if wanted.entry is None:
        return None
    try:
        tree = parse(text.strip("\n"))
    except SyntaxError:
        return None
    return None if tree is None else _sanitised(text.strip("\n"), wanted)


def _sanitised(code: str, wanted: Wanted) -> str | None:
    """The part of a program that the entry point needs; a body alone goes on from the prompt's code.

    The prompt's imports stand before it: instruct models take them as given.
    """
    assert wanted.entry is not None
    program = needed_by(parseable_prefix(code), wanted.entry)
    if program is None:
        return _continued(code, wanted)
    return _imports(wanted) + program


def _imports(wanted: Wanted) -> str:
    """The import lines of the prompt's code: "from typing import List" for a program that uses List."""
    import_lines = [line for line in wanted.code.split("\n") if line.startswith(("import ", "from "))]
    return "".join(f"{line}\n" for line in import_lines)
