"""The verifier of code tasks as a reward for training."""

from __future__ import annotations

import logging
from pathlib import Path

from rlvr_code.bench import Bench, Place
from rlvr_code.programs import read_program, wanted_of
from rlvr_code.sandboxes import NamedSandbox
from rlvr_code.stored_tests import StoredTests, default_folder
from rlvr_code.verifier import USUAL_LEVEL, USUAL_SANDBOX, tests_of
from rlvr_harness import Problem
from rlvr_sandbox.records import Ruling

_LOG = logging.getLogger(__name__)


class CodeReward:
    """1.0 for a completion that passes every test, 0.0 for one that does not, None when the harness failed.

    Safe to call from many threads at once, and never raises. Close it at the end.
    """

    def __init__(
        self,
        sandbox: str = USUAL_SANDBOX,
        level: int = USUAL_LEVEL,
        *,
        workers: int | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        """`sandbox` and the isolation `level` that it must reach; `workers`: programs at once, one a free core.

        `cache_folder`: where tasks have left their tests; the user's own when left out.
        """
        tests = StoredTests(cache_folder or default_folder())
        self._bench = Bench(Place(NamedSandbox(sandbox), sandbox, level, tests), workers)

    def __call__(self, problem: Problem, text: str) -> float | None:
        """The reward of a completion; the log says why it is None."""
        try:
            key = tests_of(problem)
            program = read_program(text, wanted_of(problem.metadata))
            if program is None:
                return 0.0
            judgement = self._bench.judge(program, key)
        except Exception as error:  # noqa: BLE001  (a failure here must never become a reward)
            _LOG.warning("no reward for a completion of %s: %r", getattr(problem, "problem_id", "?"), error)
            return None
        if judgement.ruling is Ruling.VOID:
            _LOG.warning("no reward for a completion of %s: %s", problem.problem_id, judgement.reason)
            return None
        return 1.0 if judgement.ruling is Ruling.PASS else 0.0

    def close(self) -> None:
        """Ends the sandbox."""
        self._bench.close()
