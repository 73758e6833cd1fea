"""LiveCodeBench's comparison as it is described, told anew for the tests: runs trusted programs, each in a fork.

Standard input: a list of {"program", "function" (or null), "tests": [{"input", "output"}]}; output: for each, whether
every test is passed within a second of processor time.
The rules: a function gets one JSON value a line; a tuple that it returns counts as a list; then Python's `==`. Printed
text and answer are stripped and split at line ends; as many lines, each stripped and the same, or both of them words
that are all decimal numbers, the same ones. SystemExit is no fault, any other exception is. LiveCodeBench's stand-ins
for standard input, and the function that it makes of a whole program, are left out.
"""

import contextlib
import decimal
import io
import json
import os
import signal
import sys

from rlvr_sandbox.datasets.livecodebench import PRELUDE


def same_line(said, wanted):
    if said == wanted:
        return True
    try:
        return list(map(decimal.Decimal, said.split())) == list(map(decimal.Decimal, wanted.split()))
    except decimal.InvalidOperation:
        return False


def same_text(said, wanted):
    said, wanted = ([line.strip() for line in text.strip().split("\n")] for text in (said, wanted))
    return len(said) == len(wanted) and all(map(same_line, said, wanted))


def printed(program, text):
    said = io.TextIOWrapper(io.BytesIO(), write_through=True)
    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
    names = {"__name__": "__main__"}
    exec(PRELUDE, names)
    names["open"] = lambda file: {0: sys.stdin}[file]
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        exec(program, names)
    return said.buffer.getvalue().decode()


def passes_calls(program, function, tests):
    names = {"__name__": "solution"}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(PRELUDE + program, names)
        call = getattr(names["Solution"](), function) if "class Solution" in program else names[function]
        for test in tests:
            value = call(*map(json.loads, test["input"].split("\n")))
            if not bool((list(value) if isinstance(value, tuple) else value) == json.loads(test["output"])):
                return False
    return True


def passes(asked):
    program, function, tests = asked["program"], asked["function"], asked["tests"]
    try:
        if function:
            return passes_calls(program, function, tests)
        return all(same_text(printed(program, test["input"]), test["output"]) for test in tests)
    except Exception:  # noqa: BLE001  (the program is what is asked about)
        return False


def passes_in_a_fork(asked):
    ours, childs = os.pipe()
    child = os.fork()
    if not child:
        signal.setitimer(signal.ITIMER_PROF, 1.0)
        os.write(childs, b"right" if passes(asked) else b"wrong")
        os._exit(0)
    os.close(childs)  # so that a child that dies without a word leaves an end, not a wait
    os.waitpid(child, 0)
    return os.read(ours, 10) == b"right"


if __name__ == "__main__":
    json.dump([passes_in_a_fork(asked) for asked in json.load(sys.stdin)], sys.stdout)
