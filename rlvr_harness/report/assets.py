"""What a page inlines: style sheet, scripts, the plotting library, data, and the policy that allows no more."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from importlib import resources

STYLE, SCRIPT, LIBRARY = "report.css", "report.js", "plotly-basic.min.js"


def asset(name: str) -> str:
    """The text of a file in assets/, byte for byte as it will stand in the page."""
    return (resources.files("rlvr_harness.report") / "assets" / name).read_bytes().decode("utf-8")


def content_policy(scripts: Iterable[str]) -> str:
    """A Content-Security-Policy that runs these inline scripts, known by their hash, and loads nothing at all.

    Styles stay open: the charts set some on their own elements. `data:` lets a chart be saved as a picture.
    """
    sums = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    allowed = f"script-src {sums}; " if sums else ""
    return f"default-src 'none'; {allowed}style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def data_block(content: object) -> str:
    """`content` as ASCII JSON that cannot end the script element around it: '<' -> '\\u003c'."""
    block = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return block.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
