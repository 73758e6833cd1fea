"""Where the final answer stands in a completion: one named policy for each way of asking for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rlvr_harness import last_closed_box

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BARE = re.compile(r"(?P<inside>[^$\n]*?)(?:\$|\\\)|\\\])|(?P<word>[^\s$\\{}]+)(?P<after>\s|\Z)")
_HASH = re.compile(r"####(?P<answer>[^\n]*)(?P<after>\n|\Z)")
_ANSWER_LINE = re.compile(
    r"^[ \t>*#_]*(?:(?:the )?final )?answer[*_]*[ \t]*:[*_]*\s*(?P<answer>[^\n]*)(?P<after>\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)  # **Answer:** 12
_TAGS = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL)
_NUMBER = re.compile(r"-?(?:\d[\d,]*\d|\d)(?:\.\d+)?|-?\.\d+")


def last_boxed(text: str, cut: bool) -> str | None:
    r"""The content of the last complete, non-empty box: `\boxed{1} \fbox{\frac{1}{2}} \boxed{3` gives `\frac{1}{2}`.

    `\boxed 5` without braces counts too, unless the text was cut right behind it.
    """
    boxes = list(_BOX.finditer(text, max(text.rfind("\\boxed"), text.rfind("\\fbox"), 0)))
    if not boxes:
        return None
    last = boxes[-1]
    if not text.startswith("{", last.end()):
        return _unbraced(text, last.end(), cut) or last_closed_box(text)
    return last_closed_box(text, last.start()) or last_closed_box(text)


def last_hash(text: str, cut: bool) -> str | None:
    """What follows the last `####` up to the end of its line: `... #### 1,234` gives `1,234`."""
    return _last_line(_HASH, text, cut)


def last_boxed_or_hash(text: str, cut: bool) -> str | None:
    """The last complete box; where there is none, the last `####` line."""
    return last_boxed(text, cut) or last_hash(text, cut)


def last_answer_line(text: str, cut: bool) -> str | None:
    r"""What follows the last line that begins with `Answer:`, or the box in it: `Answer: \boxed{12}` gives `12`."""
    answer = _last_line(_ANSWER_LINE, text, cut)
    return answer and (last_boxed(answer, cut=False) or answer)


def last_tagged(text: str, cut: bool) -> str | None:
    r"""What the last complete, non-empty `<answer>...</answer>` holds, or the box in it."""
    found = [match[1].strip() for match in _TAGS.finditer(text) if match[1].strip()]
    return (last_boxed(found[-1], cut=False) or found[-1]) if found else None


def last_of_any(text: str, cut: bool) -> str | None:
    """The answer by the first policy that finds one; where none does, the last number of the text, asked for or not."""
    for policy in ("tags", "boxed_or_hash", "answer_line"):
        if answer := POLICIES[policy].read(text, cut):
            return answer
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else None


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """A reader of (completion, whether the token limit cut it), and how a completion that it reads is `written`."""

    read: Callable[[str, bool], str | None]
    written: str

    def write(self, answer: str) -> str:
        r"""A completion with this answer. "5" -> "So it is \boxed{5}." """
        return self.written.replace("ANSWER", answer)


_BOXED = "So it is \\boxed{ANSWER}."
POLICIES: Mapping[str, AnswerPolicy] = MappingProxyType(
    {
        "boxed": AnswerPolicy(last_boxed, _BOXED),
        "hash": AnswerPolicy(last_hash, "So it is\n#### ANSWER"),
        "boxed_or_hash": AnswerPolicy(last_boxed_or_hash, _BOXED),
        "answer_line": AnswerPolicy(last_answer_line, "So it is.\nAnswer: ANSWER"),
        "tags": AnswerPolicy(last_tagged, "<think>So it is.</think><answer>ANSWER</answer>"),
    }
)
"""Policy by name; a task or a prompt profile picks one as `answer_policy`."""


def _last_line(pattern: re.Pattern[str], text: str, cut: bool) -> str | None:
    found = [m["answer"].strip(" \t\r*") for m in pattern.finditer(text) if m["after"] or not cut]
    return next(filter(None, reversed(found)), None)


def _unbraced(text: str, start: int, cut: bool) -> str | None:
    match = _BARE.match(text, start)
    if match is None or (match["word"] and cut and not match["after"]):
        return None
    return (match["inside"] or match["word"] or "").strip().rstrip(".,;") or None
