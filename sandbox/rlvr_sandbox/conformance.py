"""What every backend must do, as a list of named checks that any backend can be put through.

`check.run(backend)` gives an empty text, or what was wrong. A check is owed only from its `level` of isolation upwards;
run only what `owed(backend)` lists: the other programs could do harm.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr_sandbox.box import Backend
from rlvr_sandbox.jail import tagged
from rlvr_sandbox.records import Exit, Job, Limits, Style, TestRun

_MARK = "rlvrcheck"  # what programs call themselves, so that survivors are found
_LIMITS = Limits(memory_mb=512, disk_mb=16, total_cpu_s=20.0, wall_slack_s=1.0, wall_factor=1.0)
_CAPS = tagged.Caps(1 << 24)
_GONE_S = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One promise. `run` gives an empty text when the backend keeps it."""

    name: str
    level: int
    run: Callable[[Backend], str]


@dataclass(frozen=True, slots=True)
class Trial:
    """A program to run, and how."""

    program: str
    inputs: Sequence[Any] = ((1,),)
    style: Style = Style.FUNCTION
    cpu_s: float = 2.0
    output_bytes: int = 1 << 20
    limits: Limits = field(default=_LIMITS)
    entry: str = "f"


def attempt(backend: Backend, *trials: Trial) -> list[list[TestRun]]:
    """The runs of each trial, one after another in the same box while that lives."""
    runs: list[list[TestRun]] = []
    box = backend.open()
    try:
        for trial in trials:
            if not box.alive:
                box.close()
                box = backend.open()
            seen: list[TestRun] = []
            box.run(_job(trial), lambda _, run, seen=seen: seen.append(run) is None)  # type: ignore[misc]
            runs.append(seen)
    finally:
        box.close()
    return runs


def _job(trial: Trial) -> Job:
    script = trial.style is Style.STDIN
    inputs = [i.encode() if script else tagged.encode(list(i), 1 << 24) for i in trial.inputs]
    count = len(inputs)
    entry = None if script else trial.entry
    caps = [trial.output_bytes] * count
    return Job(trial.program.encode(), trial.style, inputs, [trial.cpu_s] * count, caps, trial.limits, entry)


def values(runs: Sequence[TestRun]) -> list[Any]:
    """What a function program's tests returned; the exit and its detail for one that did not."""
    return [tagged.decode(r.output, _CAPS) if r.exit is Exit.RETURNED else f"{r.exit}: {r.detail}" for r in runs]


def returns(name: str, program: str, expected: Sequence[Any], level: int = 1, entry: str = "f") -> Check:
    """A check that a function program returns these for 1, 2, and so on."""

    def run(backend: Backend) -> str:
        inputs = [(number,) for number in range(1, len(expected) + 1)]
        got = values(attempt(backend, Trial(program, inputs, entry=entry))[0])
        return "" if got == list(expected) else f"returned {got!r}, not {list(expected)!r}"

    return Check(name, level, run)


def prints(name: str, program: str, text: str, expected: str) -> Check:
    """A check that a stdin program's output is this."""

    def run(backend: Backend) -> str:
        runs = attempt(backend, Trial(program, [text], Style.STDIN, output_bytes=1 << 24))[0]
        if [r.exit for r in runs] != [Exit.RETURNED]:
            return f"ended as {[(r.exit.value, r.detail) for r in runs]}"
        return "" if runs[0].output == expected.encode() else f"printed {runs[0].output[:80]!r}"

    return Check(name, 1, run)


def ends(name: str, trial: Trial, exits: Sequence[Exit], level: int = 1) -> Check:
    """A check that a program's last test ends in one of these ways, and that an honest one after it is not hurt."""

    def run(backend: Backend) -> str:
        bad, good = attempt(backend, trial, Trial("def f(x): return x + 1"))
        if values(good) != [2]:
            return f"the next program ended as {values(good)!r}"
        if not bad or bad[-1].exit not in exits:
            return f"ended as {[(r.exit.value, r.detail) for r in bad]}, not {[e.value for e in exits]}"
        left = survivors()
        return f"{len(left)} processes are left" if left else ""

    return Check(name, level, run)


def survivors() -> list[int]:
    """Processes that call themselves by the mark and are still there after a grace of three seconds."""
    until = time.monotonic() + _GONE_S
    while True:
        found = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _command_name(p) == _MARK]
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.02)


def _command_name(process: Path) -> str:
    with suppress(OSError):
        return (process / "comm").read_text().strip()
    return ""


@contextmanager
def _outside() -> Iterator[tuple[Path, str]]:
    """A folder of the judge's that everyone may write, and a secret that lies in it and in the environment."""
    with tempfile.TemporaryDirectory(prefix="rlvr-check-") as folder:
        secret = f"secret-{os.urandom(8).hex()}"
        place = Path(folder)
        place.chmod(0o777)
        (place / "secret.txt").write_text(secret)
        (place / "secret.txt").chmod(0o644)
        os.environ["RLVR_CHECK_SECRET"] = secret
        try:
            yield place, secret
        finally:
            del os.environ["RLVR_CHECK_SECRET"]


def _reads_no_file(backend: Backend) -> str:
    program = "def f(p):\n for q in (p, '/proc/1/root' + p, '/proc/self/root' + p):\n  try: return open(q).read()\n"
    program += "  except OSError: pass\n return 'nothing'"
    with _outside() as (place, _):
        got = values(attempt(backend, Trial(program, [(str(place / "secret.txt"),)]))[0])
    return "" if got == ["nothing"] else f"read {got!r}"


def _writes_no_file(backend: Backend) -> str:
    program = "import os\ndef f(p):\n for q in (p, '/etc/passwd', os.__file__):\n"
    program += "  try: open(q, 'a').write('#')\n  except OSError: pass\n return 'done'"
    with _outside() as (place, _):
        attempt(backend, Trial(program, [(str(place / "dropped"),)]))
        return "wrote a file outside" if (place / "dropped").exists() else ""


def _environment(program: str) -> Callable[[Backend], str]:
    def run(backend: Backend) -> str:
        with _outside() as (_, secret):
            got = values(attempt(backend, Trial(program))[0])
        if len(got) != 1 or not isinstance(got[0], (str, bytes)) or str(got[0]).startswith(("raised", "died")):
            return f"ended as {got!r}"
        return "read the judge's environment" if secret in str(got[0]) else ""

    return run


def _reaches_no_network(backend: Backend) -> str:
    program = "import socket\ndef f(p):\n try:\n  socket.create_connection(('127.0.0.1', p), 1)\n  return 'reached'\n"
    program += " except OSError: return 'refused'"
    with socket.create_server(("127.0.0.1", 0)) as server:
        got = values(attempt(backend, Trial(program, [(server.getsockname()[1],)]))[0])
    return "" if got == ["refused"] else f"{got!r}"


def _kills_no_one(backend: Backend) -> str:
    program = "import os, signal\ndef f(p):\n for q in (p, os.getppid(), -1):\n  try:\n   if q: os.kill(q, 9)\n"
    program += "  except OSError: pass\n return 'done'"
    witness = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        attempt(backend, Trial(program, [(witness.pid,)]))
        return "killed a process outside" if witness.poll() is not None else ""
    finally:
        witness.kill()
        witness.communicate()


def _changes_no_setting(backend: Backend) -> str:
    program = "import os\ndef f(x):\n done = []\n open('/dev/null', 'w').close()\n try: os.chmod('/dev/null', 0o666)"
    program += "; done.append('chmod')\n except OSError: pass\n for p in ('sys/kernel/core_pattern', "
    program += "'sysrq-trigger'):\n  try: os.close(os.open('/proc/' + p, os.O_WRONLY)); done.append(p)\n"
    program += "  except OSError: pass\n return done"
    got = values(attempt(backend, Trial(program))[0])
    return "" if got == [[]] else f"could open {got!r}"


def _keeps_nothing(backend: Backend) -> str:
    program = "import os\ndef f(x):\n found = os.listdir('.')\n open('note', 'w').write('x')\n return found"
    first, second = attempt(backend, Trial(program), Trial(program))
    return "" if values(first) == values(second) == [[]] else f"found {values(first)!r}, then {values(second)!r}"


def _stops_when_told(backend: Backend) -> str:
    box = backend.open()
    told: list[int] = []
    try:
        job = _job(Trial("import time\ndef f(x):\n time.sleep(0.05 * (x > 0))\n return x", [(i,) for i in range(40)]))
        box.run(job, lambda index, _: told.append(index) is None and index < 1)  # type: ignore[func-returns-value]
        return "" if told == [0, 1] and box.alive else f"told of tests {told}, box alive: {box.alive}"
    finally:
        box.close()


_NAME = f"import ctypes\nctypes.CDLL(None).prctl(15, b'{_MARK}', 0, 0, 0)\n"
_DAEMON = f"import os, time\n{_NAME}for _ in range(3):\n if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n"
_DAEMON += "   os.closerange(0, 64)\n   time.sleep(60)\n  os._exit(0)\ndef f(x): os._exit(0)"
_BOMB = f"import os, time\n{_NAME}def f(x):\n n = 0\n while n < 2000:\n  try:\n   if os.fork() == 0: time.sleep(60)\n"
_BOMB += "   n += 1\n  except OSError: pass"
_SHARE = "import os, time\ndef f(x):\n for _ in range(4):\n  if os.fork() == 0: break\n"
_SHARE += " keep = b'x' * (200 << 20)\n time.sleep(20)\n return 1"
_FORGE = "import os\ndef f(x):\n for fd in range(64):\n  try: os.write(fd, b'V' + b'\\xff' * 9)\n  except OSError: pass"
_FORGE += "\n os._exit(0)"
_POOL = "import multiprocessing as m\ndef g(x): return x * x\ndef f(x):\n with m.Pool(2) as p: return p.map(g, [1, 2])"
_FORK = "import os\ndef f(x):\n p = os.fork()\n if not p: os._exit(7)\n return os.waitstatus_to_exitcode(os.wait()[1])"
_ASYNC = "import asyncio\nasync def g():\n await asyncio.sleep(0)\n return 5\ndef f(x): return asyncio.run(g())"
_TEMP = (
    "import tempfile\ndef f(x):\n with tempfile.TemporaryFile() as t:\n  t.write(b'ab')\n  t.seek(1)\n  return t.read()"
)
_DEEP = "import sys\nsys.setrecursionlimit(60000)\ndef g(n): return n and 1 + g(n - 1)\ndef f(x): return g(50000)"
_THREAD = "import threading, time\ndef g():\n time.sleep(0.05)\n print(input())\nthreading.Thread(target=g).start()"
_GUARD = "def f(x): return x\nif __name__ == '__main__': raise SystemExit(3)"
_FILL = "def f(x):\n try:\n  with open('fill', 'wb') as h:\n   for _ in range(64): h.write(bytes(1 << 20))\n"
_FILL += " except OSError: return 'full'\n return 'no end'"
_FDS = "import os\ndef f(x): return max(i for i in range(200) if os.path.exists(f'/proc/self/fd/{i}')) <= 3"
_PROC = "import glob\ndef f(x):\n out = b''\n for p in glob.glob('/proc/[0-9]*/environ'):\n  try: out += "
_PROC += "open(p, 'rb').read()\n  except OSError: pass\n return out"
_NOT_RETURNED = (Exit.MEMORY, Exit.TIMEOUT, Exit.OUTPUT, Exit.RAISED, Exit.DIED)

CHECKS: tuple[Check, ...] = (
    returns("returns values in order", "n = []\ndef f(x):\n n.append(x)\n return n", [[1], [1, 2]]),
    returns("takes a method of a class", "class Solution:\n def f(self, x): return x", [1], entry="Solution.f"),
    returns("does not run a main guard of a function program", _GUARD, [1]),
    returns("stdout of a function program is not its output", "def f(x):\n print('y' * 9999999)\n return x", [1]),
    returns("starts processes", _FORK, [7]),
    returns("runs a process pool", _POOL, [[1, 4]], level=3),
    returns("runs coroutines", _ASYNC, [5]),
    returns("gives temporary files", _TEMP, [b"b"]),
    returns("lets recursion go deep", _DEEP, [50000]),
    returns("inherits no descriptor", _FDS, [True], level=3),
    returns("bounds the disk", _FILL, ["full"]),
    prints(
        "runs a script as main", "if __name__ == '__main__':\n for l in open(0): print(l.strip())", "a\nb", "a\nb\n"
    ),
    prints("waits for a script's threads", _THREAD, "x\n", "x\n"),
    prints("takes an exit for an end", "import sys\nprint(sys.stdin.read())\nsys.exit(1)", "q", "q\n"),
    prints("reads descriptor 0", "import os\nos.write(1, os.read(0, 9))", "abc", "abc"),
    prints("keeps large outputs", "print('z' * 5_000_000)", "", "z" * 5_000_000 + "\n"),
    ends("tells what was raised", Trial("def f(x): return 1 // 0"), [Exit.RAISED]),
    ends("tells a syntax error", Trial("def f(x) return"), [Exit.RAISED]),
    ends("tells a missing entry", Trial("def g(x): return x"), [Exit.RAISED]),
    ends("takes SystemExit for no answer", Trial("def f(x): raise SystemExit(0)"), [Exit.RAISED]),
    ends("takes an exit for no answer", Trial("import os\ndef f(x): os._exit(0)"), [Exit.DIED]),
    ends("survives forged frames", Trial(_FORGE), [Exit.DIED, Exit.OUTPUT]),
    ends("bounds CPU time", Trial("def f(x):\n while 1: pass", cpu_s=0.3), [Exit.TIMEOUT]),
    ends("bounds wall time", Trial("import time\ndef f(x): time.sleep(60)", cpu_s=0.3), [Exit.TIMEOUT]),
    ends("bounds memory", Trial("def f(x): return len(b'x' * (2 << 30))"), [Exit.MEMORY, Exit.RAISED, Exit.DIED]),
    ends("bounds memory of the whole tree", Trial(_SHARE, cpu_s=5.0), [Exit.MEMORY]),
    ends("bounds output", Trial("while 1: print('x' * 9999)", [""], Style.STDIN), [Exit.OUTPUT]),
    ends("bounds a return value", Trial("def f(x): return 'x' * (2 << 20)"), [Exit.OUTPUT]),
    ends("ends daemons", Trial(_DAEMON), [Exit.DIED]),
    ends("ends a fork bomb", Trial(_BOMB, cpu_s=1.0), _NOT_RETURNED, level=2),
    Check("keeps nothing between programs", 1, _keeps_nothing),
    Check("stops when told", 1, _stops_when_told),
    Check("gives no environment", 1, _environment("import os\ndef f(x): return str(dict(os.environ))")),
    Check("gives no environment of others", 2, _environment(_PROC)),
    Check("reads no file of the judge", 2, _reads_no_file),
    Check("writes no file of the judge", 2, _writes_no_file),
    Check("reaches no network", 2, _reaches_no_network),
    Check("changes no setting of the kernel", 2, _changes_no_setting),
    Check("kills no one", 2, _kills_no_one),
)


def owed(backend: Backend) -> list[Check]:
    """The checks that a backend of this level must pass here."""
    level = backend.isolation().level
    return [check for check in CHECKS if check.level <= level]
