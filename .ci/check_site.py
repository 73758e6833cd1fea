"""Ends with status 1 where a built site loads anything from another host: `python .ci/check_site.py SITE`."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

ELSEWHERE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?\s*((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)
LOADING = {"src", "srcset", "data", "poster", "action"}


class Loads(HTMLParser):
    """Collects what a page makes the browser fetch; links that a reader follows are none of it."""

    def __init__(self) -> None:
        """Nothing found yet."""
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Looks at one tag."""
        for name, value in attrs:
            loads = name in LOADING or (name == "href" and tag in ("link", "use", "image", "base"))
            if loads and value and ELSEWHERE.match(value):
                self.found.append(f"<{tag} {name}={value}>")
            if name == "class" and "mermaid" in (value or "").split():
                self.found.append("a mermaid diagram, whose script the theme takes from another host")
            if name == "style":
                self.found += STYLE.findall(value or "")


def loads_of(path: Path) -> list[str]:
    """What one file of the site takes from other hosts."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return STYLE.findall(text)
    page = Loads()
    page.feed(text)
    styles = re.findall(r"<style.*?</style>", text, re.DOTALL)
    return page.found + [url for style in styles for url in STYLE.findall(style)]


def main(site: Path) -> int:
    """Prints what is loaded from elsewhere, one line each."""
    files = [path for path in sorted(site.rglob("*")) if path.suffix in (".html", ".css")]
    found = [f"{path.relative_to(site)}: {what}" for path in files for what in loads_of(path)]
    print("\n".join(found) if found else f"{len(files)} pages and styles load nothing from other hosts")
    return int(bool(found) or not files)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
