"""A served model that is kept full with requests; see `StreamingModel` and `OpenModel` for the contract."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlvr_harness import (
    FinishReason,
    ModelError,
    ModelFacts,
    Problem,
    Sample,
    SamplingLaw,
    WorkSource,
    WorkUnit,
    about_tokens,
)
from rlvr_openai.agreeing import Asker, agree, ignores_seeds_and_chance, refusal
from rlvr_openai.background import Background
from rlvr_openai.canary import Canary
from rlvr_openai.choices import Choice, Counting, read_choices
from rlvr_openai.dialect import Dialect, full_body
from rlvr_openai.lane import Ask, ClosedWork, Got, Lane
from rlvr_openai.profile import load_tokenizer
from rlvr_openai.settings import Settings
from rlvr_openai.transport import Refused, Transport
from rlvr_openai.usage import COUNTED, Traffic, Usage, read_usage

OVER_BUDGET = 8
"""Tokens above the budget that are let pass: servers count end tokens and think tags differently."""
_LOG = logging.getLogger(__name__)


class ServedModel:
    """One model of one server."""

    def __init__(self, settings: Settings, entry: Mapping[str, Any], first: Dialect) -> None:
        """`entry`: what the server's list says of the model; `first`: the dialect to try first."""
        self._settings, self._dialect = settings, first
        self._tokenizer = load_tokenizer(settings)
        self._traffic = Traffic()
        self._transport = Transport(settings, self._traffic)
        self._asker = Asker(settings, self._transport)
        self._background = Background("openai-requests")
        self._agreed: object = None
        self._canary = Canary()
        self._told: dict[str, None] = {}
        self._dialects: dict[str, None] = {}
        revision = entry.get("root")
        self.facts = ModelFacts(
            revision=str(revision) if revision else None, weight_hash=None, dtype="unknown", device=settings.root
        )

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """Samples that keep the server full four times over, so that the wait for a unit's last one weighs little."""
        return 4 * self._settings.concurrency * self._settings.n_per_request

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """All samples of the unit, in its order."""
        found = {
            (sample.problem_id, sample.index): sample
            for batch in self.stream(ClosedWork(work), law)
            for sample in batch
        }
        return [found[cell.problem.problem_id, index] for cell in work for index in cell.indices]

    def stream(self, work: WorkSource, law: SamplingLaw) -> Iterator[list[Sample]]:
        """Samples as they arrive. Samples of the first requests are kept back until the server is seen to draw anew."""
        first = work.take(wait=True)
        if first is None:
            return
        self._agree(first.problem, law)
        held: list[Sample] = []
        with Lane(work, self._settings.concurrency, lambda ask: self._background.start(self._fetch(ask, law))) as lane:
            lane.add(first, self._dialect.n)
            while True:
                if not lane.fill(self._dialect.n):
                    if held:
                        yield held
                        held = []
                    if lane.wait_for_work(self._dialect.n):
                        continue
                    return
                for got in lane.finished():
                    self._watch(got, law)
                    held += got.samples
                    if got.rest is not None:
                        lane.put_first(got.rest, self._fewer(got))
                if held and (self._canary.settled or law.temperature == 0 or lane.fault):
                    yield held
                    held = []
                if lane.fault:
                    raise lane.fault

    def usage(self) -> Mapping[str, float]:
        """Requests and tokens since the model was opened, and their cost where prices are known."""
        return self._traffic.as_data(self._settings.price_in, self._settings.price_out)

    def law_notes(self) -> Sequence[str]:
        """What was left out of requests, and what the server does not keep to."""
        return [*self._dialects, *self._told]

    def close(self) -> None:
        """Drops what is under way, and says what the use of the server cost where prices are known."""
        self._background.close(self._transport.close)
        used = self.usage()
        if "cost" in used:
            _LOG.warning(
                "%s: %s requests (%s repeated), %s prompt and %s completion tokens, cost %.4f",
                *(self._settings.role, *(f"{used[name]:,}" for name in COUNTED), used["cost"]),
            )

    def _agree(self, problem: Problem, law: SamplingLaw) -> None:
        key = (replace(law, max_gen_toks=0), problem.stop)
        if key != self._agreed:
            sent = replace(problem, prompt=self._prompt(problem))
            self._dialect = self._background.wait_for(agree(self._asker, self._dialect, law, sent))
            self._agreed = key
            self._dialects |= dict.fromkeys(self._dialect.notes(law))

    def _prompt(self, problem: Problem) -> str:
        if self._tokenizer is None or self._settings.chat:
            return problem.prompt
        return self._tokenizer.without_bos(problem.prompt)

    async def _fetch(self, ask: Ask, law: SamplingLaw) -> Got:
        dialect, settings = self._dialect, self._settings
        fields = dialect.body(ask.problem, law, len(ask.indices), ask.seeds[0])
        body = full_body(settings, dialect, self._prompt(ask.problem), fields)
        try:
            choices, usage = await self._transport.post(
                settings.path, body, lambda answer: (read_choices(answer, ask.problem.stop), read_usage(answer))
            )
        except Refused as refused:
            raise refusal(refused, ask.problem) from refused
        if len(choices) > len(ask.indices):
            choices, usage = choices[: len(ask.indices)], Usage(usage.prompt_tokens, None)
        return self._read(ask, choices, usage, law)

    def _read(self, ask: Ask, choices: list[Choice], usage: Usage, law: SamplingLaw) -> Got:
        counting = Counting(self._tokenizer.count if self._tokenizer else about_tokens, law.max_gen_toks)
        counts = counting.counts(choices, usage)
        self._tell_counting(choices, usage, max(counts), law)
        samples = [
            Sample(
                task=ask.problem.task,
                model=self._settings.role,
                problem_id=ask.problem.problem_id,
                index=index,
                seed=seed,
                text=choice.text,
                finish_reason=choice.finish_reason or _guessed(count, law),
                n_tokens=count,
                logprob_sum=choice.logprob_sum,
            )
            for index, seed, choice, count in zip(ask.indices, ask.seeds, choices, counts, strict=False)
        ]
        done = len(samples)
        rest = Ask(ask.problem, ask.indices[done:], ask.seeds[done:]) if done < len(ask.indices) else None
        return Got(ask, samples, rest)

    def _fewer(self, got: Got) -> int:
        """Samples per request from now on: one, where the server gave one of several."""
        if len(got.samples) == 1:
            self._dialect = replace(self._dialect, n=1)
        return self._dialect.n

    def _tell_counting(self, choices: list[Choice], usage: Usage, most: int, law: SamplingLaw) -> None:
        if usage.completion_tokens is None and not all(choice.n_tokens for choice in choices):
            how = "counted with the tokenizer given" if self._tokenizer else "estimated from the length of the text"
            self._tell(f"the server reports no token counts; they are {how}")
        elif len(choices) > 1 and not all(choice.n_tokens for choice in choices):
            self._tell(
                "the server counts tokens per request, not per completion: a sample's count is its share by length "
                "(exact with n_per_request=1 or logprobs=true)"
            )
        if most > law.max_gen_toks + OVER_BUDGET:
            self._tell(
                f"the server does not keep to max_gen_toks={law.max_gen_toks:,}: a completion has {most:,} tokens"
            )
        if self._settings.logprobs and law != SamplingLaw(1.0, 1.0, 0, 0.0, 1.0, law.max_gen_toks):
            self._tell(
                "log probabilities are stored as the server reports them; many servers report those before "
                "temperature and top_p, and not those of the sampling law"
            )

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told[text] = None
            _LOG.warning("%s: %s", self._settings.role, text)

    def _watch(self, got: Got, law: SamplingLaw) -> None:
        """Raises ModelError where the server gives the same answers to all requests."""
        if law.temperature == 0 or self._canary.settled:
            return
        self._canary.watch(got.ask.problem.problem_id, [sample.text for sample in got.samples])
        if self._canary.suspicious:
            if self._background.wait_for(ignores_seeds_and_chance(self._asker, self._dialect, law)):
                raise ModelError(
                    f"the server at {self._settings.root} gives the same answer to every request at temperature > 0, "
                    "whatever the seed: it draws with a constant seed or greedily, and pass@k of such samples says "
                    "nothing. Restart it without a fixed seed and with sampling on"
                )
            self._canary.settle()


def _guessed(count: int, law: SamplingLaw) -> FinishReason:
    """Why a completion ended, for a server that does not say."""
    return FinishReason.LENGTH if count >= law.max_gen_toks else FinishReason.STOP
