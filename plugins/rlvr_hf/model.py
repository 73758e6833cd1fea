"""An opened transformers model that samples whole units of work with `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr_harness import (
    FinishReason,
    ModelError,
    ModelFacts,
    ModelRequest,
    Problem,
    Sample,
    SampleRequest,
    SamplingLaw,
    WorkUnit,
    cut_at_stop,
    declared_end_ids,
    end_ids,
    with_stop_tokens,
)
from rlvr_hf.adapters import hash_of_weights, with_adapter
from rlvr_hf.memory import Fitting, release_memory, rows_that_fit
from rlvr_hf.penalty import RepetitionPenalty
from rlvr_hf.pictures import PicturePrompts
from rlvr_hf.scoring import Teaching
from rlvr_hf.seeded_choice import SeededChoice
from rlvr_hf.stopping import StopStrings, completing_tokens

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Row:
    """One sample to draw; `prompt` is the place of its prompt in the unit."""

    prompt: int
    problem: Problem
    index: int
    seed: int


class HfModel(Teaching):
    """A model with its tokenizer; see `OpenModel` for the contract."""

    def __init__(self, request: ModelRequest, lm: Any, pictures: PicturePrompts | None = None) -> None:
        """`lm` is lm-eval's HFLM; `pictures` for a model that sees them."""
        from transformers import GenerationConfig

        self._request, self._pictures = request, pictures
        self._lm, self._model = lm, with_adapter(lm.model, request)
        self._tokenizer = lm.tokenizer
        declared = declared_end_ids(self._model.generation_config, self._model.config, self._tokenizer)
        self._eos_ids = end_ids(declared, request.eos_tokens, self._tokenizer)
        self._completing: dict[tuple[str, ...], list[int]] = {}
        self._ends: dict[tuple[str, ...], tuple[int, ...]] = {(): self._eos_ids}
        self._fitting = Fitting(request.role)
        self._pad_id = int(self._tokenizer.pad_token_id)
        # A checkpoint's generation_config may carry its own sampling law and penalties: none of it may leak in.
        self._model.generation_config = GenerationConfig()
        self.facts = ModelFacts(
            revision=getattr(self._model.config, "_commit_hash", None),
            weight_hash=hash_of_weights(request),
            dtype=str(self._model.dtype).removeprefix("torch."),
            device=str(self._model.device),
            parameters=int(self._model.num_parameters()),
            eos_token_ids=self._eos_ids,
        )

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """The asked-for batch size, else what half of the free memory holds, at most 1024 on a CPU, 512 on a GPU."""
        if self._request.batch_size:
            return self._request.batch_size
        return rows_that_fit(self._model, tokens_per_row, self._request.beside)

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """One `generate` call for the unit, or several where its rows do not fit in memory together.

        Rows keep the padding of the whole unit, so that a text does not depend on how many there are beside it.
        """
        stops = work[0].problem.stop
        if any(cell.problem.stop != stops for cell in work):
            raise ModelError(f"task '{work[0].problem.task}': problems of one task must share their stop strings")
        if stops not in self._ends:
            self._ends[stops] = with_stop_tokens(self._eos_ids, stops, self._tokenizer)
        if any(cell.problem.images for cell in work):
            return [sample for cell in work for sample in self._sample_pictured(cell, law)]
        ids, mask = self._encode([cell.problem.prompt for cell in work])
        rows = [
            Row(place, cell.problem, index, seed)
            for place, cell in enumerate(work)
            for index, seed in zip(cell.indices, cell.seeds, strict=True)
        ]
        pieces = self._fitting.run(
            len(rows), lambda piece: self._draw(ids, mask, [rows[number] for number in piece], law)
        )
        return [sample for samples in pieces for sample in samples]

    def _sample_pictured(self, cell: SampleRequest, law: SamplingLaw) -> list[Sample]:
        """One problem alone: prompts with pictures of several sizes cannot be padded to one another."""
        rows = [Row(0, cell.problem, index, seed) for index, seed in zip(cell.indices, cell.seeds, strict=True)]
        pieces = self._fitting.run(len(rows), lambda piece: self._draw_pictured([rows[place] for place in piece], law))
        return [sample for samples in pieces for sample in samples]

    def _draw_pictured(self, rows: Sequence[Row], law: SamplingLaw) -> list[Sample]:
        if self._pictures is None:
            raise ModelError(
                f"task '{rows[0].problem.task}' shows pictures, and model '{self._request.path}' sees none"
            )
        import torch

        inputs = self._pictures.rows(self._model, rows[0].problem, len(rows))
        ids, mask, stops = inputs["input_ids"], inputs["attention_mask"], rows[0].problem.stop
        choice = SeededChoice([row.seed for row in rows], ids.shape[1])
        options = self._generation(law, stops, ids.shape[1])
        options["logits_processor"] = self._processors(law, choice, ids, mask)
        with torch.inference_mode():
            output = self._model.generate(**inputs, **options)
        return self._samples(rows, output[:, ids.shape[1] :].cpu(), _stacked(choice), stops)

    def _draw(self, ids: torch.Tensor, mask: torch.Tensor, rows: Sequence[Row], law: SamplingLaw) -> list[Sample]:
        """The samples of some rows of a unit; `ids` and `mask` hold all of its prompts."""
        import torch

        stops = rows[0].problem.stop
        prompts = sorted({row.prompt for row in rows})
        ids, mask = ids[prompts], mask[prompts]
        with torch.inference_mode():
            places = torch.tensor([prompts.index(row.prompt) for row in rows], device=ids.device)
            choice = SeededChoice([row.seed for row in rows], ids.shape[1])
            options = self._generation(law, stops, ids.shape[1])
            options["logits_processor"] = self._processors(law, choice, ids[places], mask[places])
            output = self._generate(ids, mask, places, options)
        return self._samples(rows, output[:, ids.shape[1] :].cpu(), _stacked(choice), stops)

    def close(self) -> None:
        """Drops the model and returns cached GPU memory."""
        self._lm = self._model = self._teacher = None
        release_memory()

    def _encode(self, prompts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = self._lm.tok_batch_encode(list(prompts))
        return ids.to(self._model.device), mask.to(self._model.device)

    def _generation(self, law: SamplingLaw, stops: tuple[str, ...], prompt_length: int) -> dict[str, Any]:
        from transformers import GenerationConfig, StoppingCriteriaList

        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=law.max_gen_toks,
            eos_token_id=list(self._ends[stops]) or None,
            pad_token_id=self._pad_id,
            use_cache=True,
        )
        options: dict[str, Any] = {"generation_config": config}
        if stops:
            if stops not in self._completing:
                self._completing[stops] = completing_tokens(self._tokenizer, stops)
            stop = StopStrings(self._tokenizer, stops, self._completing[stops], prompt_length)
            options["stopping_criteria"] = StoppingCriteriaList([stop])
        return options

    def _processors(self, law: SamplingLaw, choice: SeededChoice, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        from transformers import LogitsProcessorList
        from transformers.generation import logits_process as lp

        chain: list[Any] = []
        if law.repetition_penalty != 1.0:
            chain.append(RepetitionPenalty(law.repetition_penalty, ids, mask))
        if law.temperature == 0.0:
            return LogitsProcessorList(chain)
        if law.temperature != 1.0:
            chain.append(lp.TemperatureLogitsWarper(float(law.temperature)))
        if law.top_k > 0:
            chain.append(lp.TopKLogitsWarper(law.top_k))
        if law.top_p < 1.0:
            chain.append(lp.TopPLogitsWarper(law.top_p))
        if law.min_p > 0.0:
            chain.append(lp.MinPLogitsWarper(law.min_p))
        return LogitsProcessorList([*chain, choice])

    def _generate(
        self, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, options: dict[str, Any]
    ) -> torch.Tensor:
        """`rows`: for each sample, the row of its prompt in `ids` and `mask`."""
        cache = self._prefill(ids, mask)
        if cache is not None:
            cache.reorder_cache(rows)
            options = options | {"past_key_values": cache}
        output: torch.Tensor = self._model.generate(
            input_ids=ids[rows],
            attention_mask=mask[rows],
            **options,
        )
        return output

    def _prefill(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        """The cache of every prompt but its last token; None where the architecture keeps another kind of state."""
        from transformers import DynamicCache

        config = self._model.config.get_text_config()
        if (
            self._pictures is not None
            or ids.shape[1] < 2
            or self._model.config.is_encoder_decoder
            or not _plain_attention(config)
        ):
            return None
        cache = DynamicCache(config=self._model.config)
        positions = (mask[:, :-1].cumsum(dim=1) - 1).clamp_(min=0)
        self._model(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return cache

    def _samples(
        self, rows: Sequence[Row], new: torch.Tensor, logprobs: torch.Tensor | None, stops: tuple[str, ...]
    ) -> list[Sample]:
        """`new`: (rows, steps) token ids; a row that ended early is padded."""
        import torch

        steps = new.shape[1]
        ends = torch.isin(new, torch.tensor(self._ends[stops], dtype=new.dtype))
        first_end = torch.where(ends.any(dim=1), ends.int().argmax(dim=1) + 1, steps + 1).tolist()
        tokens = [tuple(row[: end - 1]) for row, end in zip(new.tolist(), first_end, strict=True)]
        counts = [min(end, steps) for end in first_end]
        stopped = [end <= steps for end in first_end]
        texts = self._decode(tokens)
        for row, text in enumerate(texts if stops else ()):
            if (cut := cut_at_stop(text, stops)) is not None:
                counts[row] = self._tokens_until(tokens[row], stops, counts[row])
                texts[row], stopped[row] = cut, True
        totals = _totals(logprobs, counts)
        return [
            Sample(
                task=row.problem.task,
                model=self._request.role,
                problem_id=row.problem.problem_id,
                index=row.index,
                seed=row.seed,
                text=texts[place],
                finish_reason=FinishReason.STOP if stopped[place] else FinishReason.LENGTH,
                n_tokens=counts[place],
                logprob_sum=totals[place],
            )
            for place, row in enumerate(rows)
        ]

    def _decode(self, tokens: Sequence[tuple[int, ...]]) -> list[str]:
        """The text of each row; equal rows are decoded once."""
        distinct = list(dict.fromkeys(tokens))
        texts = dict(zip(distinct, self._tokenizer.batch_decode(distinct, skip_special_tokens=True), strict=True))
        return [texts[row] for row in tokens]

    def _tokens_until(self, tokens: Sequence[int], stops: Sequence[str], upper: int) -> int:
        """Number of tokens up to the one that completes a stop string; found by bisection on decoded prefixes."""
        low, high = 1, min(upper, len(tokens))
        while low < high:
            middle = (low + high) // 2
            if cut_at_stop(self._tokenizer.decode(tokens[:middle], skip_special_tokens=True), stops) is not None:
                high = middle
            else:
                low = middle + 1
        return low


def _stacked(choice: SeededChoice) -> torch.Tensor | None:
    """Log probabilities, (rows, steps); None where nothing was drawn."""
    import torch

    return torch.stack(choice.logprobs, dim=1).double().cpu() if choice.logprobs else None


def _totals(logprobs: torch.Tensor | None, counts: Sequence[int]) -> list[float] | list[None]:
    """Sum of the first counts[row] log probabilities of each row; `logprobs`: (rows, steps), None where unknown."""
    import torch

    if logprobs is None:
        return [None] * len(counts)
    last = torch.tensor(counts).clamp_(min=1).unsqueeze(1) - 1
    totals: list[float] = logprobs.cumsum(dim=1).gather(1, last).squeeze(1).tolist()
    return totals


def _plain_attention(config: Any) -> bool:
    """Whether every layer keeps ordinary keys and values, so that a prompt's cache can be repeated."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return all(kind == "full_attention" for kind in kinds)
    return hasattr(config, "num_attention_heads") and not hasattr(config, "state_size")
