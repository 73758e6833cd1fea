"""The final answer's box in a completion, read the same way by every verifier that asks for one."""

from __future__ import annotations

import re

_BOX_OR_BRACE = re.compile(r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)


def last_closed_box(text: str, start: int = 0) -> str | None:
    r"""Content of the last complete, non-empty box: `\boxed{1} \fbox{\frac12} \boxed{3` gives `\frac12`.

    Of boxes inside one another it is the innermost. One pass over the text, from `start`.
    """
    opened: list[int | None] = []
    best_start, best = -1, None
    for token in _BOX_OR_BRACE.finditer(text, start):
        if token["box"]:
            opened.append(token.end())
        elif token["open"]:
            opened.append(None)
        elif token["close"] and opened:
            begin = opened.pop()
            if begin is not None and begin > best_start and text[begin : token.start()].strip():
                best_start, best = begin, text[begin : token.start()].strip()
    return best
