"""Verdicts on demand from any thread, for training runs: as `VerifierPool` gives them, answered at once."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

from rlvr_harness.contracts import Verifier
from rlvr_harness.errors import VerifierLost, first_line
from rlvr_harness.executor_contracts import VerifierWorkers
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Verdict
from rlvr_harness.verifier_workers import LocalWorkers, checked

_LOG = logging.getLogger(__name__)
_PATIENCE = (1.0, 3.0)
"""Time limit of each attempt, in units of the verifier's own wall_s, as in `VerifierPool`."""
_GLANCE_S = 0.1
"""How soon a waiting thread notices that the reward was closed."""
KEPT_VERDICTS = 100_000
"""Verdicts kept for answers that come again: some 50 MB."""

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion of a problem, as a training run asks about it. `cut`: it ended at the token limit."""

    problem: Problem
    text: str
    cut: bool = False

    def sample(self) -> Sample:
        """The completion as a verifier takes it."""
        finish = FinishReason.LENGTH if self.cut else FinishReason.STOP
        return Sample(self.problem.task, "policy", self.problem.problem_id, 0, 0, self.text, finish, 0)


@dataclass(slots=True)
class _Claim:
    """A verdict to come. Whoever made it (`leads`) settles it, all others wait."""

    key: Key
    answer: Answer
    shared: Future[Verdict]
    leads: bool
    call: Future[Verdict] | None = None


class Reward:
    """Verdicts of one verifier, from any number of threads at once.

    Nothing raises: what the harness fails at is a void verdict, logged once for each kind of failure and counted, and
    asked anew when it comes again. Equal answers of a problem share one call. Close it at the end.
    """

    def __init__(self, verifier: Verifier, workers: int = 1) -> None:
        """`verifier` as a run would use it, bound to its sandbox; `workers` processes where it needs them."""
        self._verifier, self._workers = verifier, workers
        self._pool: VerifierWorkers | None = None
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, Verdict] = OrderedDict()
        self._claims: dict[Key, _Claim] = {}
        self._counts: Counter[str] = Counter()
        self._told: set[str] = set()
        self._closed = False

    @property
    def verifier(self) -> Verifier:
        """Which verifier it is."""
        return self._verifier

    def verdicts(self, answers: Sequence[Answer]) -> list[Verdict]:
        """One for each answer, in order; waits for those that need a worker."""
        claims = [self._claim(answer) for answer in answers]
        for claim in claims:
            if claim.leads:
                claim.call = self._begin(claim.answer, 0)
        for claim in claims:
            if claim.leads:
                self._settle(claim)
        found = [claim.shared.result() for claim in claims]
        with self._lock:
            self._counts.update(verdict.outcome.value for verdict in found)
        return found

    def rewards(self, answers: Sequence[Answer]) -> list[float | None]:
        """1.0 for right, 0.0 for wrong, None where the harness failed."""
        return [reward_of(verdict) for verdict in self.verdicts(answers)]

    def counts(self) -> Mapping[str, int]:
        """How many verdicts of each outcome were given."""
        with self._lock:
            return {outcome.value: self._counts[outcome.value] for outcome in Outcome}

    def close(self) -> None:
        """Ends the workers; calls under way become void."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def _claim(self, answer: Answer) -> _Claim:
        shared: Future[Verdict] = Future()
        problem = answer.problem
        try:
            key = problem.task, problem.problem_id, self._verifier.verdict_key(problem, answer.sample())
        except Exception as error:  # noqa: BLE001  (a plugin is called)
            shared.set_result(self._void(answer, error))
            return _Claim(("", "", ""), answer, shared, leads=False)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                shared.set_result(self._known[key])
                return _Claim(key, answer, shared, leads=False)
            if key in self._claims:
                return _Claim(key, answer, self._claims[key].shared, leads=False)
            self._claims[key] = claim = _Claim(key, answer, shared, leads=True)
            return claim

    def _begin(self, answer: Answer, attempt: int) -> Future[Verdict]:
        """The verdict, found here where that is cheap, else asked of a worker."""
        limits, sample = self._verifier.limits, answer.sample()
        call: Future[Verdict] = Future()
        try:
            started = time.perf_counter()
            inline = self._verifier.verify if limits is None else self._verifier.quick
            verdict = inline(answer.problem, sample)
            if verdict is None and limits is not None:
                return self._ready_pool().call(answer.problem, sample, limits.wall_s * _PATIENCE[attempt])
            call.set_result(checked(verdict, started))
        except Exception as error:  # noqa: BLE001  (a plugin is called)
            call.set_exception(error)
        return call

    def _ready_pool(self) -> VerifierWorkers:
        limits = self._verifier.limits
        assert limits is not None
        with self._lock:
            if self._closed:
                raise VerifierLost("the reward was closed")
            if self._pool is None or not self._pool.active:
                self._pool = LocalWorkers(self._verifier, self._workers, limits.memory_mb)
            return self._pool

    def _settle(self, claim: _Claim) -> None:
        """Waits for the call, makes it again where it failed, and tells all who wait for it."""
        verdict = Verdict.void(claim.answer.sample(), "stopped")
        try:
            verdict = self._verdict(claim)
        finally:
            with self._lock:
                del self._claims[claim.key]
                if verdict.outcome is not Outcome.VOID:
                    self._known[claim.key] = verdict
                if len(self._known) > KEPT_VERDICTS:
                    self._known.popitem(last=False)
            claim.shared.set_result(verdict)

    def _verdict(self, claim: _Claim) -> Verdict:
        call, attempt = claim.call, 0
        assert call is not None
        while (error := self._error_of(call)) is not None and attempt + 1 < len(_PATIENCE) and not self._closed:
            attempt += 1
            call = self._begin(claim.answer, attempt)
        return call.result() if error is None else self._void(claim.answer, error)

    def _error_of(self, call: Future[Verdict]) -> BaseException | None:
        """Waits for the call. Workers that were stopped leave it unanswered."""
        while True:
            try:
                return call.exception(_GLANCE_S)
            except CancelledError as error:
                return error
            except TimeoutError:
                if self._closed:
                    return VerifierLost("the reward was closed")

    def _void(self, answer: Answer, error: BaseException) -> Verdict:
        kind = "verifier_timeout" if isinstance(error, TimeoutError) else "verifier_error"
        fault = f"{type(error).__name__}: {first_line(error)}"
        with self._lock:
            fresh = fault not in self._told
            self._told.add(fault)
        if fresh:
            _LOG.warning("no reward for a completion of %s: %s", answer.problem.problem_id, fault)
        return Verdict.void(answer.sample(), kind)


def reward_of(verdict: Verdict) -> float | None:
    """1.0 for right, 0.0 for wrong, None for void."""
    return None if verdict.outcome is Outcome.VOID else float(verdict.outcome is Outcome.RIGHT)
