"""Cuts generated Python down to what an entry point needs, as evalplus's users expect. Reads source, never runs it.

After evalplus 0.3.1 (`evalplus/sanitize.py`), with Python's own parser. Where the two differ, this one keeps more: a
function that returns nothing but is called, and statements such as `for` or `try` that make a name which is needed.
"""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Iterator, Sequence

_LONGEST_SOURCE = 1_000_000
# Characters parsed over all attempts on one text: about two seconds of work at the worst.
_MOST_PARSED = 20_000_000
_LEAST_ATTEMPTS = 20
_WARNING_FILTERS = threading.Lock()  # catch_warnings is not thread safe

_Definition = (
    ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.AugAssign
    | ast.For | ast.While | ast.If | ast.Try | ast.With
)  # fmt: skip
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse(source: str) -> ast.Module | None:
    """The syntax tree, or None for what is no Python. Raises SyntaxError where it tells the line of the fault."""
    with _WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of "\d" in a text, of `1if`
        try:
            return ast.parse(source)
        except (ValueError, MemoryError, RecursionError):
            return None


def parseable_prefix(source: str) -> str:
    """The lines before the first that spoils the syntax; empty where the first one does."""
    text = source[:_LONGEST_SOURCE].partition("\0")[0].replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    count = len(lines)
    for _ in range(max(_LEAST_ATTEMPTS, _MOST_PARSED // (len(text) + 1))):
        part = "\n".join(lines[:count])
        try:
            return part if parse(part) is not None else ""
        except SyntaxError as error:
            count = max(0, min(count - 1, (error.lineno or 1) - 1))
    return ""


def needed_by(source: str, entry: str, first_wins: bool = False) -> str | None:
    """Of source that parses: the imports and what the entry point needs; None where it is not defined.

    `first_wins`: of several definitions of a name the first with a body counts, not the last: a base model that goes
    on behind its answer does not spoil it.
    """
    try:
        tree = parse(source)
    except SyntaxError:
        return None
    if tree is None:
        return None
    found: list[ast.stmt] = [node for node in tree.body if isinstance(node, _Definition) and not _is_main_guard(node)]
    if first_wins:
        found = list(_first_ones(found))
    needed, kept = {entry}, set[int]()
    while new := [node for node in found if id(node) not in kept and not needed.isdisjoint(_bound(node))]:
        for node in new:
            kept.add(id(node))
            needed |= _named(node)
    if not any(entry in _bound(node) for node in found):
        return None
    wanted = [node for node in tree.body if id(node) in kept or isinstance(node, ast.Import | ast.ImportFrom)]
    return _text(source, wanted, tree.body)


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in _named(node.test)


def _first_ones(nodes: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Without the functions and classes whose name is defined by then; a stub does not count where more follows."""
    known: set[str] = set()
    for place, node in enumerate(nodes):
        if isinstance(node, _Function | ast.ClassDef):
            again = any(isinstance(other, _Function) and other.name == node.name for other in nodes[place + 1 :])
            if node.name in known or (again and _is_stub(node)):
                continue
            known.add(node.name)
        yield node


def _is_stub(node: ast.stmt) -> bool:
    """Whether a function has nothing but its docstring, `pass` or `...`."""
    return isinstance(node, _Function) and all(
        isinstance(part, ast.Pass) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in node.body
    )


def _bound(node: ast.AST) -> set[str]:
    """Names that a statement of the top level makes or changes: `memo[0] = 1` changes memo."""
    if isinstance(node, _Function | ast.ClassDef):
        return {node.name}
    names: set[str] = set()
    todo: list[ast.AST] = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, _Function | ast.ClassDef):
            names.add(part.name)
            continue
        if isinstance(part, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in part.names}
        if isinstance(part, ast.Name | ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store | ast.Del):
            names |= _named(part)
        todo.extend(ast.iter_child_nodes(part))
    return names


def _named(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _text(source: str, wanted: Sequence[ast.stmt], body: Sequence[ast.stmt]) -> str:
    """The lines of the wanted statements; one that shares a line with another is written anew."""
    lines = source.split("\n")
    parts = []
    for node in wanted:
        first, last = _first_line(node), node.end_lineno or node.lineno
        shared = max(_owners(body, first), _owners(body, last)) > 1
        parts.append(ast.unparse(node) if shared else "\n".join(lines[first - 1 : last]))
    return "\n".join(parts) + "\n"


def _owners(body: Sequence[ast.stmt], line: int) -> int:
    return sum(_first_line(node) <= line <= (node.end_lineno or node.lineno) for node in body)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, _Function | ast.ClassDef) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
