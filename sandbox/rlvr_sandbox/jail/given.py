"""Arguments of a test, read in the child: the judge wrote them, so nothing is checked and few pages are touched."""

from __future__ import annotations

import marshal
import struct
from collections.abc import Callable
from typing import Any

from . import reading

_length = struct.Struct("<I").unpack_from
_double = struct.Struct("<d").unpack_from
_NONE, _TRUE, _FALSE, _INT, _FLOAT, _STR, _LIST = b"NTFifsl"
_BUILDERS: dict[int, Callable[[list[Any]], Any]] = {
    ord("t"): tuple,
    ord("d"): lambda items: dict(zip(items[::2], items[1::2], strict=True)),
    ord("e"): set,
    ord("z"): frozenset,
}
_PLAIN = frozenset((type(None), bool, int, float, str, bytes, list, tuple, dict))
_QUICK = b"M"  # no tag of `tagged`
_MARSHAL_VERSION = 2  # every Python reads it, and no list of it is in two places
_CAPS = reading.Caps(size=1 << 31, nodes=1 << 31, digits=1 << 31)


def quick(data: bytes) -> bytes:
    """The same arguments in a form that `decode` reads in one step, where there is one; for the judge to make once."""
    value = decode(data)
    return _QUICK + marshal.dumps(value, _MARSHAL_VERSION) if _is_plain(value) else data


def _is_plain(value: Any) -> bool:
    """Nothing in it but what marshal gives back as it was: a set would come in another order."""
    todo = [value]
    while todo:
        item = todo.pop()
        if type(item) not in _PLAIN:
            return False
        if type(item) is dict:
            todo += [*item.keys(), *item.values()]
        elif type(item) in (list, tuple):
            todo += item
    return True


def decode(data: bytes) -> Any:
    """What `tagged.encode` has made these bytes from."""
    if data[:1] == _QUICK:
        return marshal.loads(data[1:])
    at = 0
    outer: list[tuple[int, int, list[Any]]] = []
    tag, count, items = _LIST, 1, list[Any]()  # what all is in
    while True:
        while len(items) == count:
            if not outer:
                return items[0]
            value = items if tag == _LIST else _BUILDERS[tag](items)
            tag, count, items = outer.pop()
            items.append(value)
        kind = data[at]
        at += 1
        if kind in (_INT, _STR):
            end = at + 4 + _length(data, at)[0]
            text = data[at + 4 : end]
            items.append(int(text, 16) if kind == _INT else text.decode("utf-8", "surrogatepass"))
            at = end
        elif kind == _LIST or kind in _BUILDERS:
            outer.append((tag, count, items))
            tag, count, items = kind, _length(data, at)[0], []
            at += 4
        elif kind == _FLOAT:
            items.append(_double(data, at)[0])
            at += 8
        elif kind in (_NONE, _TRUE, _FALSE):
            items.append(None if kind == _NONE else kind == _TRUE)
        else:
            value, at = reading.read_leaf(data, at - 1, _CAPS)
            items.append(value)
