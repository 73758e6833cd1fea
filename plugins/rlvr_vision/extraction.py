"""Where the final answer stands in a completion: in the last box, or else where the benchmark itself would look."""

from __future__ import annotations

import re

_QUOTED = re.compile(r'[Tt]he answer is "([^"\n]*)"\.')
_FLAGGED = re.compile(
    r"\b[Tt]he (?:(?:final|correct) answer is|answer (?:is|should be))(?![A-Za-z]):?[ \t]*"
    r"([^\n]*?)(?:\n|\. |\.?\Z)"
)
_LETTER_AT_END = re.compile(r"[ \n]\(?([A-E])\)?\.\Z")  # So we choose (B).
_LETTER_IN_FRONT = re.compile(r"\A\(?([A-E])\)?(?: [A-E])?\n")  # B\nBecause ...
_NUMBER_AT_END = re.compile(r"\bis (-?(?:\d+(?:\.\d+)?|\.\d+))\.?\Z")  # ... the sum is 12.


def last_quoted(text: str) -> str | None:
    """MathVista's quick extraction, its last match: `The answer is "14".` gives `14`."""
    found = _QUOTED.findall(text)
    return found[-1] if found else None


def mathvision_phrase(text: str) -> str | None:
    """MathVision's own rules for a completion without a box, in its order.

    A letter that ends or opens the text (`... choose (B).`); a number behind a final `is`; what follows the last of
    `the answer is`, `the final answer is`, `the correct answer is`, `the answer should be` in its sentence.
    """
    text = text.strip()
    for pattern in (_LETTER_AT_END, _LETTER_IN_FRONT, _NUMBER_AT_END):
        if match := pattern.search(text):
            return match[1]
    found = [answer for answer in _FLAGGED.findall(text) if answer.strip()]
    return found[-1].strip() if found else None
