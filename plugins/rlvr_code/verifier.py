"""The verifier of code tasks: reads the program from a completion and has it judged in a sandbox."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from rlvr_code.bench import Place, bench_of_process
from rlvr_code.programs import CONTINUATION, POLICIES, read_program, wanted_of
from rlvr_code.sandboxes import NamedSandbox
from rlvr_code.stored_tests import StoredTests, default_folder
from rlvr_harness import FinishReason, Problem, Sample, Sandbox, TaskError, Verdict, WorkLimits
from rlvr_sandbox.oracles.evalplus import WEAK_TASKS
from rlvr_sandbox.records import Judgement, Ruling

USUAL_SANDBOX, USUAL_LEVEL = "local", 3
# The sandbox ends every program long before; the limit is for a sandbox that hangs.
_WALL_S = 3600.0
# Address space of a worker and of the programs below it, which themselves may have 4 GiB.
_MEMORY_MB = 32 * 1024
_SHORTEST_KEY = 16

_RETURNS_NONE = "def {name}(*args, **kwargs):\n    return None\n"
_EXITS = "import os\n\n\ndef {name}(*args, **kwargs):\n    os._exit(0)\n"
_EQUALS_ALL = (
    "class Same:\n    def __eq__(self, other):\n        return True\n\n    __hash__ = None\n\n\n"
    "def {name}(*args, **kwargs):\n    return Same()\n"
)


def usual_place() -> Place:
    """The local sandbox at the usual level, and the user's cache folder."""
    return Place(NamedSandbox(USUAL_SANDBOX), USUAL_SANDBOX, USUAL_LEVEL, StoredTests(default_folder()))


@dataclass(frozen=True)
class CodeVerifier:
    """RIGHT when the program passes every test of its problem; VOID when the sandbox failed.

    Reasons for WRONG: no_program; truncated (none, and the token limit was hit); syntax_error; wrong_answer; timeout;
    memory; output_limit; died; `raised: ValueError` and the like. The answer of a verdict is the beginning of the
    program's sha256: equal programs are one answer.
    """

    name: str = "code"
    description: str = "the completion's program, judged in a sandbox on every test of its problem"
    version: str = "1"
    place: Place = field(default_factory=usual_place)

    @property
    def limits(self) -> WorkLimits | None:
        """Programs run below worker processes, as many at a time as there are workers."""
        return WorkLimits(wall_s=_WALL_S, memory_mb=_MEMORY_MB)

    def in_sandbox(self, sandbox: Sandbox, level: int) -> CodeVerifier:
        """The same verifier, for programs in that sandbox, which must reach that level."""
        return replace(self, place=replace(self.place, sandbox=sandbox, name=sandbox.name, level=level))

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The program; where there is none, whether the completion was cut."""
        program = read_program(sample.text, wanted_of(problem.metadata))
        return f"none:{sample.finish_reason.value}" if program is None else f"program:{program}"

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """WRONG where there is no program. Raises TaskError for a problem that is not of a code task."""
        tests_of(problem)
        program = read_program(sample.text, wanted_of(problem.metadata))
        if program is None:
            cut = sample.finish_reason is FinishReason.LENGTH
            return Verdict.wrong(sample, None, "truncated" if cut else "no_program")
        return None

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """The verdict. Raises TaskError where the problem's tests are not there, and what the sandbox raises."""
        known = self.quick(problem, sample)
        if known is not None:
            return known
        program = str(read_program(sample.text, wanted_of(problem.metadata)))
        return verdict_of(sample, program, bench_of_process(self.place).judge(program, tests_of(problem)))

    def gold_texts(self, problem: Problem) -> list[str]:
        """The problem's own solution as its prompt asks for it; none where the benchmark has none."""
        if not problem.reference:
            return []
        if wanted_of(problem.metadata).policy == CONTINUATION:
            return [problem.reference]
        return [_fenced(f"{problem.metadata['prompt']}{problem.reference}")]

    def near_misses(self, problem: Problem) -> list[str]:
        """Functions that return None, end the process and equal everything; a program that prints nothing.

        None for the few tasks that accept any answer.
        """
        if problem.problem_id in WEAK_TASKS:
            return []
        entry = problem.metadata.get("entry_point")
        name = str(entry).rpartition(".")[2] if entry else "main"
        return [_fenced(text.format(name=name)) for text in (_RETURNS_NONE, _EXITS, _EQUALS_ALL)]


def tests_of(problem: Problem) -> str:
    """The key of the problem's tests. Raises TaskError for a problem that is not of a code task."""
    key, policy = problem.metadata.get("tests"), problem.metadata.get("answer_policy")
    if not isinstance(key, str) or len(key) < _SHORTEST_KEY:
        raise TaskError(
            f"{problem.task}: problem {problem.problem_id} has no tests; verifier 'code' judges code tasks, "
            "as humanevalplus, mbppplus and livecodebench"
        )
    if policy not in POLICIES:
        raise TaskError(f"{problem.task}: no answer policy {policy!r} for code; there are {', '.join(POLICIES)}")
    return key


def verdict_of(sample: Sample, program: str, judgement: Judgement) -> Verdict:
    """The judge's ruling as a verdict."""
    answer = hashlib.sha256(program.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    if judgement.ruling is Ruling.VOID:
        return Verdict.void(sample, judgement.reason)
    if judgement.ruling is Ruling.PASS:
        return Verdict.right(sample, answer, judgement.reason)
    kind = judgement.reason
    return Verdict.wrong(sample, answer, "syntax_error" if kind in _SYNTAX_ERRORS else kind)


_SYNTAX_ERRORS = frozenset({"raised: SyntaxError", "raised: IndentationError", "raised: TabError"})


def _fenced(program: str) -> str:
    return f"```python\n{program}\n```\n"
