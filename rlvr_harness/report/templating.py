"""Templates of pages: whatever they are given is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def escaping_templates(folder: Path) -> jinja2.Environment:
    """The templates of a folder. The filter `markup` lets through what our own code has made and escaped."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["markup"] = markupsafe.Markup
    return environment
