"""A model of lm-eval, sampled with one `generate_until` request per sample; it scores texts where its class can."""

from __future__ import annotations

import gc
import hashlib
import logging
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rlvr_harness import (
    FinishReason,
    LocalTokenizer,
    ModelError,
    ModelFacts,
    ModelRequest,
    Sample,
    SamplingLaw,
    TextPair,
    TextScore,
    WorkUnit,
    about_tokens,
    generate_texts,
    weight_hash,
)
from rlvr_lm_eval.classes import BATCH, ModelClass
from rlvr_lm_eval.scoring import Likelihoods

ALIKE_PROBLEMS = 3
ALIKE_SAMPLES = 8
NEARLY = 100
"""A completion within 1 / 100 of the budget counts as cut: decoded and read again, a text may have fewer tokens."""
_LOG = logging.getLogger(__name__)


class LmEvalModel:
    """See `OpenModel` and `ScoringModel`. lm-eval gives texts alone: reasons to end and lengths are worked out here."""

    def __init__(self, request: ModelRequest, kind: ModelClass, lm: Any, tokenizer: LocalTokenizer | None) -> None:
        """`lm` is lm-eval's model; without a tokenizer lengths are estimates."""
        self._request, self._kind, self._lm, self._tokenizer = request, kind, lm, tokenizer
        self._alike: dict[str, tuple[str, int]] = {}
        self._likelihoods: Likelihoods | None = None
        self._drawn_anew = kind.name == "dummy"
        self._told = tokenizer is not None
        model = getattr(lm, "model", None)
        self.facts = ModelFacts(
            revision=getattr(getattr(model, "config", None), "_commit_hash", None),
            weight_hash=_hash_of_weights(kind, request),
            dtype=str(getattr(model, "dtype", "unknown")).removeprefix("torch."),
            device=str(getattr(lm, "device", None) or "unknown"),
        )

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """The batch size asked for, else 64."""
        return self._request.batch_size or BATCH

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """All samples of the unit; the generators of torch, numpy and Python are seeded by its first seed."""
        rows = [(cell, index, seed) for cell in work for index, seed in zip(cell.indices, cell.seeds, strict=True)]
        self._check_room(work, law)
        _seed_generators(rows[0][2])
        options = [self._kind.options(law, cell.problem.stop, seed) for cell, _, seed in rows]
        prompts = [self._prompt(cell.problem.prompt) for cell, _, _ in rows]
        texts = generate_texts(self._lm, list(zip(prompts, options, strict=True)))
        if len(texts) != len(rows):
            raise ModelError(f"lm_eval:{self._kind.name} gave {len(texts)} texts for {len(rows)} requests")
        samples = []
        for (cell, index, seed), text in zip(rows, texts, strict=True):
            problem = cell.problem
            count, reason = self._ending(text, law)
            samples.append(
                Sample(problem.task, self._request.role, problem.problem_id, index, seed, text, reason, count)
            )
        if law.temperature > 0:
            self._watch(samples)
        return samples

    def score(self, pairs: Sequence[TextPair]) -> Iterator[tuple[int, TextScore]]:
        """See `ScoringModel`. Raises ModelError where the class cannot."""
        if self._likelihoods is None:
            self._likelihoods = Likelihoods(self._lm, self._kind, self._request.batch_size)
        return self._likelihoods.score(pairs)

    def close(self) -> None:
        """Drops the model."""
        self._lm = self._likelihoods = None
        gc.collect()

    def _prompt(self, prompt: str) -> str:
        return self._tokenizer.without_bos(prompt) if self._tokenizer else prompt

    def _check_room(self, work: WorkUnit, law: SamplingLaw) -> None:
        """lm-eval cuts a prompt from the left, down to nothing, where prompt and budget exceed its context."""
        longest = getattr(self._lm, "max_length", None)
        if self._tokenizer is None or not isinstance(longest, int):
            return
        for cell in work:
            tokens = len(self._tokenizer.prompt_ids(cell.problem.prompt))
            if tokens + law.max_gen_toks > longest:
                raise ModelError(
                    f"task '{cell.problem.task}', problem '{cell.problem.problem_id}': {tokens} tokens of prompt and "
                    f"{law.max_gen_toks} to generate exceed lm-eval's max_length={longest}: it would cut the prompt; "
                    "raise --model_args max_length, or lower max_gen_toks in --gen_kwargs"
                )

    def _ending(self, text: str, law: SamplingLaw) -> tuple[int, FinishReason]:
        if self._tokenizer is None:
            if not self._told:
                self._told = True
                _LOG.warning(
                    "%s: lm-eval tells neither lengths nor reasons to end; tokens are estimated, and every completion "
                    "counts as ended by itself (name the tokenizer with --model_args tokenizer=PATH)",
                    self._request.role,
                )
            return about_tokens(text), FinishReason.STOP
        count = self._tokenizer.count(text)
        if count >= law.max_gen_toks - law.max_gen_toks // NEARLY:
            return law.max_gen_toks, FinishReason.LENGTH
        return count + 1, FinishReason.STOP

    def _watch(self, samples: list[Sample]) -> None:
        """Raises ModelError where eight samples and more of several problems were all one text."""
        for sample in samples:
            if self._drawn_anew:
                return
            text, count = self._alike.get(sample.problem_id, (sample.text, 0))
            self._drawn_anew = text != sample.text
            self._alike[sample.problem_id] = (text, count + 1)
        if sum(count >= ALIKE_SAMPLES for _, count in self._alike.values()) >= ALIKE_PROBLEMS:
            raise ModelError(
                f"lm_eval:{self._kind.name} gives one text for all samples of {ALIKE_PROBLEMS} problems at "
                "temperature > 0: it draws with a constant seed or greedily, and pass@k of such samples says nothing"
            )


def _hash_of_weights(kind: ModelClass, request: ModelRequest) -> str | None:
    """What `hf` and `vllm` tell of the same weights and adapter; None where they are not on this disk."""
    own = weight_hash(request.path, request.args.get("revision")) if kind.loads_checkpoint else None
    adapter = request.args.get("peft") or request.args.get("lora_local_path")
    if own is None or not adapter:
        return own
    added = weight_hash(str(adapter), None)
    return hashlib.sha256(f"{own} {added}".encode()).hexdigest() if added else None


def _seed_generators(seed: int) -> None:
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
