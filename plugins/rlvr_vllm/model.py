"""An opened vLLM engine that samples closed units of work, or is kept full from a source of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr_harness import (
    CheckpointProfile,
    FinishReason,
    ModelError,
    ModelFacts,
    ModelRequest,
    Problem,
    Sample,
    SamplingLaw,
    TextPair,
    TextScore,
    WorkSource,
    WorkUnit,
    cut_at_stop,
)
from rlvr_vllm.engine import GuardedEngine
from rlvr_vllm.parameters import Parameters
from rlvr_vllm.pictures import Prompts
from rlvr_vllm.scoring import Likelihoods
from rlvr_vllm.streaming import FULL, EngineInput, Flight, Wanted, sampled

UNIT_ROUNDS = 4
"""A closed unit holds this many times what runs at once, since the engine runs empty towards the end of each unit."""
SEEDS_ON_A_CPU = (
    "vLLM on a CPU draws with the lowest 32 bits of a seed: two samples of a problem may share them, and be equal texts"
)
REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
"""vLLM's other reasons (abort, error, repetition) are failures of the engine, not ends of a text."""


@dataclass(frozen=True)
class Opened:
    """What is known of an opened model beside its engine; `lora` is vLLM's request for an adapter, or None."""

    request: ModelRequest
    profile: CheckpointProfile
    facts: ModelFacts
    lora: Any = None
    logprobs: bool = False


class VllmModel:
    """A model in an engine; see `OpenModel` and `StreamingModel` for the contracts."""

    facts: ModelFacts

    def __init__(self, llm: Any, opened: Opened) -> None:
        """`llm`: a `vllm.LLM`, which outlives the model; `closing`, where set, is called when the model is closed."""
        config = llm.llm_engine.vllm_config
        self._llm = llm
        self._opened = opened
        self._engine: GuardedEngine | None = GuardedEngine(llm, opened.request.path)
        self._context = int(config.model_config.max_model_len)
        self._vocabulary = int(config.model_config.get_vocab_size())
        self._running = int(config.scheduler_config.max_num_seqs)
        self._prompts = Prompts(opened.profile)
        self.facts = opened.facts
        self.closing: Callable[[], None] | None = None

    @property
    def room(self) -> int:
        """Samples that are under way at most."""
        return FULL * self._running

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """The asked-for batch size, else enough to keep the engine full: what does not fit in memory waits its turn."""
        return self._opened.request.batch_size or UNIT_ROUNDS * self._running

    def law_notes(self) -> Sequence[str]:
        """Where samples may differ from what the sampling law says."""
        return [SEEDS_ON_A_CPU] if self.facts.device.startswith("cpu") else []

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """All samples of the unit, in its order."""
        return sampled(self.stream, work, law)

    def stream(self, work: WorkSource, law: SamplingLaw) -> Iterator[list[Sample]]:
        """Samples of all that `work` gives, as they finish."""
        if self._engine is None:
            raise ModelError(f"model '{self._opened.request.path}' is closed; open it again to sample from it")
        opened = self._opened
        parameters = Parameters(
            law, opened.facts.eos_token_ids, opened.profile.tokenizer, self._vocabulary, opened.logprobs
        )

        def describe(wanted: Wanted) -> EngineInput:
            parameter = parameters.of(wanted.problem.stop, wanted.seed)
            return EngineInput(self._prompt(wanted.problem, law), parameter, opened.lora)

        return Flight(self._engine, self.room, describe, self._sample).run(work)

    def score(self, pairs: Sequence[TextPair]) -> Iterator[tuple[int, TextScore]]:
        """See `ScoringModel`. vLLM hands out no whole distributions, so entropies are not to be had from it."""
        opened = self._opened
        if self._engine is None:
            raise ModelError(f"model '{opened.request.path}' is closed; open it again to score with it")
        profile = opened.profile
        likelihoods = Likelihoods(self._engine, profile.tokenizer, profile.token_ids, self._context, opened.lora)
        return likelihoods.score(pairs, FULL * self._running)

    def close(self) -> None:
        """Leaves the engine; whoever started it may open another model in it, or end it."""
        self._llm = self._engine = None
        if self.closing is not None:
            self.closing()

    def _prompt(self, problem: Problem, law: SamplingLaw) -> Mapping[str, Any]:
        """The prompt as the engine takes it. Raises ModelError when it does not fit the context."""
        prompt = self._prompts.of(problem)
        if prompt.length + law.max_gen_toks > self._context:
            raise ModelError(
                f"task '{problem.task}', problem {problem.problem_id}: its prompt of {prompt.length} tokens and "
                f"max_gen_toks={law.max_gen_toks} exceed the engine's context of {self._context} tokens; "
                "lower max_gen_toks in --gen_kwargs, or raise max_model_len in --model_args"
            )
        return prompt.given

    def _sample(self, wanted: Wanted, output: Any) -> Sample:
        """`output`: vLLM's finished RequestOutput, with one completion."""
        completion = output.outputs[0]
        cut = cut_at_stop(completion.text, wanted.problem.stop)
        return Sample(
            task=wanted.problem.task,
            model=self._opened.request.role,
            problem_id=wanted.problem.problem_id,
            index=wanted.index,
            seed=wanted.seed,
            # vLLM cuts at the first stop string of the list; where one token completes two, another may come before it.
            text=completion.text if cut is None else cut,
            finish_reason=REASONS.get(str(completion.finish_reason), FinishReason.ERROR),
            n_tokens=len(completion.token_ids),
            logprob_sum=completion.cumulative_logprob,
        )
