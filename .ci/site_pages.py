"""mkdocs hook: puts files from outside docs/ on the site, and turns links to them into links between its pages."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[([^\[\]]+)(?<!`)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def outside() -> dict[str, str]:
    """Path in the repository -> place on the site."""
    places = {"README.md": "readme.md", "sandbox/README.md": "sandbox.md", "CHANGELOG.md": "changelog.md"}
    for page in sorted((ROOT / "examples" / "plugins").glob("*/README.md")):
        places[f"examples/plugins/{page.parent.name}/README.md"] = f"examples/plugins/{page.parent.name}.md"
    for page in sorted((ROOT / "tasks").glob("*/README.md")):
        places[f"tasks/{page.parent.name}/README.md"] = f"tasks/{page.parent.name}.md"
    for schema in sorted((ROOT / "rlvr_harness" / "schemas").glob("*.json")):
        places[f"rlvr_harness/schemas/{schema.name}"] = f"schemas/{schema.name}"
    return places


def on_files(files: Any, config: Any) -> Any:
    """Adds the files."""
    for path, place in outside().items():
        files.append(File.generated(config, place, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with links that hold on the site, and plain words for files that are not on it.

    A link that leads nowhere is left for mkdocs to report.
    """
    places = outside()
    here = {place: path for path, place in places.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[2]))
        inside = target.removeprefix("docs/") if target.startswith("docs/") else None
        place = places.get(target, inside)
        if place is None:
            return link[1] if (ROOT / target).exists() else link[0]
        return f"[{link[1]}]({posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or '.')}{link[3] or ''})"

    return LINK.sub(moved, markdown)
