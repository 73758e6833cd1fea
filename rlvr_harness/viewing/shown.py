"""Untrusted text as HTML: escaped, and characters that hide, reorder or steer shown by their names."""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

CUT_AT = 200_000
"""Characters of a text on its own page; what is longer is offered as a file."""
PREVIEW = 6_000
"""Characters of a text in a list."""
_HIDDEN = re.compile(
    # C0 but tab and newline, DEL, C1; soft hyphen; zero-width and direction marks; line separators; bidi embeddings and
    # isolates; invisible operators; BOM; interlinear and object characters; surrogates; tags and variation selectors.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_RUN = re.compile(f"({_HIDDEN.pattern})\\1*")
_MOST_SPANS = 2_000
"""Characters marked one by one in a text; a text with more of them shows the rest as plain U+FFFD."""


def visible(text: str) -> Markup:
    """The text escaped, each run of a hidden character as one box with its name; `\\r\\n` is a line's end."""
    pieces, at = [], 0
    text = text.replace("\r\n", "\n")
    for spans, found in enumerate(_RUN.finditer(text), start=1):
        pieces.append(escape(text[at : found.start()]))
        pieces.append(_box(found[0]) if spans <= _MOST_SPANS else Markup("\N{REPLACEMENT CHARACTER}"))
        at = found.end()
    pieces.append(escape(text[at:]))
    return Markup("").join(pieces)


def _box(run: str) -> Markup:
    char, times = run[0], f"\N{MULTIPLICATION SIGN}{len(run):,}" if len(run) > 1 else ""
    number = f"U+{ord(char):04X}"
    name = unicodedata.name(char, "control character" if ord(char) < 0xA0 else "no character")
    short = chr(0x2400 + ord(char)) if ord(char) < 0x20 else "\u2421" if char == "\x7f" else number
    return Markup('<span class="hidden-char" title="{} {}">{}{}</span>').format(number, name, short, times)


def one_line(text: str, longest: int) -> Markup:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * longest].split(None))
    return visible(line if len(line) <= longest else line[: longest - 1] + "…")


def plain_line(text: str, longest: int) -> str:
    """As `one_line`, for an attribute, where no box can stand: hidden characters are U+FFFD."""
    line = _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", " ".join(text[: 4 * longest].split(None)))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def preview(text: str, longest: int) -> str:
    """The text, or its beginning and its end, where the answer stands, with a line that says what is left out."""
    if len(text) <= longest:
        return text
    left_out = len(text) - longest
    half = longest // 2
    return f"{text[:half]}\n\n[… {left_out:,} characters left out …]\n\n{text[-half:]}"
