"""Prints the hooks of plugins as docs/plugins.md has them; with `--write` puts them there."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlvr_harness import hookspecs
from rlvr_harness.registry import KINDS, PLURALS

GUIDE = Path(__file__).parent.parent / "docs" / "plugins.md"
BETWEEN = re.compile(r"(?<=<!-- hooks: made by .ci/plugin_hooks.py -->\n).*(?=<!-- end of hooks -->)", re.DOTALL)
EXAMPLES = {
    "provide_tasks": "plugins/template/rlvr_template/__init__.py",
    "provide_verifiers": "examples/plugins/sql/rlvr_sql/__init__.py",
    "provide_samplers": "plugins/rlvr_replay/__init__.py",
    "provide_sandboxes": "plugins/rlvr_code/__init__.py",
    "provide_trainers": "plugins/rlvr_demo/__init__.py",
    "provide_metrics": "examples/plugins/sample-efficiency/rlvr_sample_efficiency/__init__.py",
    "provide_report_sections": "examples/plugins/sample-efficiency/rlvr_sample_efficiency/__init__.py",
    "provide_importers": "plugins/rlvr_counts/__init__.py",
}


def hooks() -> dict[str, Any]:
    """Every hook by name, in the order of hookspecs.py."""
    return {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, f"{hookspecs.PROJECT}_spec")}


def section() -> str:
    """The Markdown of all hooks, with the contracts of what they return."""
    return "".join(f"{line}\n" for name, hook in hooks().items() for line in _hook_lines(name, hook))


def _hook_lines(name: str, hook: Any) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield f"`{name}{_signature(hook)}`"
    yield ""
    yield inspect.getdoc(hook) or ""
    if name in EXAMPLES:
        yield f"Example: [{EXAMPLES[name]}](../{EXAMPLES[name]})."
    yield ""
    for contract in _contracts(name):
        yield from _contract_lines(contract)


def _signature(function: Any, without_self: bool = False) -> str:
    """As in the source, without quotes: `(counts: Counts, ks: Sequence[int]) -> Mapping[str, Any]`."""
    found = inspect.signature(function)
    if without_self:
        found = found.replace(parameters=[each for each in found.parameters.values() if each.name != "self"])
    return str(found).replace("'", "")


def _contracts(name: str) -> tuple[Any, ...]:
    kind = next((kind for kind in KINDS if name == f"provide_{PLURALS[kind]}"), None)
    contract = KINDS[kind] if kind else ()
    return contract if isinstance(contract, tuple) else (contract,)


def _contract_lines(contract: Any) -> Iterator[str]:
    yield f"`{contract.__name__}`: {' '.join((inspect.getdoc(contract) or '').split())}"
    yield ""
    yield "| member | promise |"
    yield "|---|---|"
    for name, member in vars(contract).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        is_property = isinstance(member, property)
        function = member.fget if is_property else member
        signature = _signature(function, without_self=True)
        shown = f"{name}: {signature.partition(' -> ')[2]}" if is_property else f"{name}{signature}"
        yield f"| `{shown.replace('|', chr(92) + '|')}` | {' '.join((inspect.getdoc(member) or '').split())} |"
    yield ""


def main() -> None:
    """Prints, or writes."""
    if sys.argv[1:] == ["--write"]:
        text = GUIDE.read_text(encoding="utf-8")
        GUIDE.write_text(BETWEEN.sub(lambda _: f"\n{section()}", text), encoding="utf-8")
    else:
        print(section(), end="")


if __name__ == "__main__":
    main()
