"""Runs the program in its child: already confined, with the result pipe open. All that it writes is distrusted data."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import random
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

from . import given, tagged, wire

SCRIPT = "stdin"  # records.Style.STDIN
ENVIRONMENT = {"HOME": "/tmp", "TMPDIR": "/tmp", "PATH": "/bin", "LANG": "C.UTF-8", "USER": "program"}
ENVIRONMENT |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# `random.seed()` in one call: as a Python function that the child has not called yet it costs some twenty pages.
_seed = super(random.Random, random._inst).seed
_TYPE_NAME = type.__dict__["__name__"]
# As programs mostly look, with the annotations they mostly have: `typing` keeps what it made of those.
_REHEARSED = b'''from typing import Any, Dict, List, Optional, Set, Tuple


def f(x: int, numbers: List[float], words: Optional[List[str]] = None) -> List[Dict[str, Tuple[int, str, float]]]:
    """ Rehearse.
    >>> f(1, [2.0])
    """
    total = 0
    for index, number in enumerate(sorted(numbers)):
        if index != x and abs(number - x) < len(numbers):
            total += max(index, 1) * 2
    text = "".join(str(n) for n in range(x % 3)) if total % 2 == 0 else "a b".split(" ")[0]
    return [{"a": (x, text, x / 2)}]


def g(a: List[int], b: List[List[int]], c: List[Any], d: Dict[str, int], e: Tuple[int, int]) -> Optional[int]:
    return None


def h(a: Optional[str], b: List[Tuple[int, int]], c: Set[int], d: Dict[int, int], e: Optional[List[int]]) -> List[str]:
    return []
'''
_REHEARSALS = 20  # the interpreter specialises a function after 8 calls, a loop after 16 rounds


def use_streams() -> None:
    """Python's own three streams, over whatever descriptors 0, 1 and 2 now are."""
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace")
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)


def _fresh_module(name: str) -> ModuleType:
    """The program's own namespace; it is `__main__` to whoever asks, as the zygote's is nobody's business."""
    module = ModuleType(name)
    module.__dict__["__builtins__"] = __builtins__
    sys.modules[name] = sys.modules["__main__"] = module
    return module


def _execute(sources: Sequence[bytes], module: ModuleType) -> None:
    for source in sources:
        if source:
            exec(compile(source, "solution.py", "exec", dont_inherit=True), module.__dict__)


def _exception_name(error: BaseException) -> bytes:
    return str(_TYPE_NAME.__get__(type(error))).encode("utf-8", "replace")[:200]


def _resolve(module: ModuleType, entry: str) -> Callable[..., Any]:
    """`f`, or `Solution.f`: a method of a new `Solution()`."""
    first, _, method = entry.partition(".")
    if first not in module.__dict__:
        raise NameError(f"the program defines no {first}")
    found = module.__dict__[first]
    return getattr(found(), method) if method else found  # type: ignore[no-any-return]


def run(style: str, parts: Sequence[bytes], caps: Sequence[int], results: int) -> NoReturn:
    """Says that it starts, runs the request to its end, and ends the process."""
    _seed()
    wire.write(results, b"C")
    if style == SCRIPT:
        run_script(parts, results)
    else:
        run_functions(parts, caps, results)
    os._exit(0)


def rehearse(sink: int) -> None:
    """Runs a program of our own here, in the process that is forked later: what the interpreter learns and fills in

    at the first calls (inline caches, type caches, grown tables) is then not done, and copied, in every child. `sink`
    takes what is written.
    """
    main = sys.modules["__main__"]
    random.seed()  # `_seed` leaves alone what `random.gauss` keeps for the next call
    for number in range(_REHEARSALS):
        _seed()
        inputs = [given.quick(tagged.encode([number, [1.5, 2]], 100))] * 3
        parts = wire.unpack_parts(wire.pack_parts([b"", _REHEARSED, b"f", *inputs]))
        run_functions(parts, [1000] * len(inputs), sink)
    del sys.modules["solution"]
    sys.modules["__main__"] = main


def run_functions(parts: Sequence[bytes], caps: Sequence[int], results: int) -> None:
    """Calls the entry once per input, in order, and sends one frame for each. `parts`: prelude, program, entry, inputs.

    The module is called `solution`, so that a main guard does not run: it would, in evalplus's and LiveCodeBench's
    function style, not run either.
    """
    prelude, program, entry, *inputs = parts
    try:
        module = _fresh_module("solution")
        _execute((prelude, program), module)
        function = _resolve(module, entry.decode())
        for data, cap in zip(inputs, caps, strict=True):
            value = function(*given.decode(data))
            try:
                frame = b"V", tagged.encode(value, cap)
            except tagged.TooLarge:
                frame = b"L", b""
            wire.write(results, *frame)
            value = None
    except BaseException as error:  # noqa: BLE001  (the program is a plugin; SystemExit too is an answer not given)
        wire.write(results, b"E", _exception_name(error))


def run_script(parts: Sequence[bytes], results: int) -> None:
    """Runs the program as `__main__` to its end: threads joined, exit functions called, output flushed."""
    prelude, program, *_ = parts
    try:
        with contextlib.suppress(SystemExit):
            _execute((prelude, program), _fresh_module("__main__"))
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  (the program is a plugin)
        wire.write(results, b"E", _exception_name(error))
        os._exit(1)
