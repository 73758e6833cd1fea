"""An opened transformers model that samples whole units of work with `generate`."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlvr_harness import (
    FinishReason,
    ModelError,
    ModelFacts,
    ModelRequest,
    Sample,
    SamplingLaw,
    WorkUnit,
    cut_at_stop,
    declared_end_ids,
    end_ids,
    weight_hash,
    with_stop_tokens,
)
from rlvr_hf.penalty import RepetitionPenalty
from rlvr_hf.seeded_choice import SeededChoice
from rlvr_hf.stopping import StopStrings, completing_tokens

if TYPE_CHECKING:
    import torch

MAX_ROWS_CPU = 1024
MAX_ROWS_GPU = 512
MEMORY_SHARE = 0.5
"""Share of the free memory that a unit may take: the cache is copied when rows are reordered or extended."""


class HfModel:
    """A model with its tokenizer; see `OpenModel` for the contract."""

    def __init__(self, request: ModelRequest, lm: Any) -> None:
        """`lm` is lm-eval's HFLM."""
        from transformers import GenerationConfig

        self._request = request
        self._lm = lm
        self._model = lm.model
        self._tokenizer = lm.tokenizer
        declared = declared_end_ids(self._model.generation_config, self._model.config, self._tokenizer)
        self._eos_ids = end_ids(declared, request.eos_tokens, self._tokenizer)
        self._completing: dict[tuple[str, ...], list[int]] = {}
        self._ends: dict[tuple[str, ...], tuple[int, ...]] = {(): self._eos_ids}
        self._pad_id = int(self._tokenizer.pad_token_id)
        # A checkpoint's generation_config may carry its own sampling law and penalties: none of it may leak in.
        self._model.generation_config = GenerationConfig()
        self.facts = ModelFacts(
            revision=getattr(self._model.config, "_commit_hash", None),
            weight_hash=weight_hash(request.path, request.args.get("revision")),
            dtype=str(self._model.dtype).removeprefix("torch."),
            device=str(self._model.device),
            parameters=int(self._model.num_parameters()),
            eos_token_ids=self._eos_ids,
        )

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """The asked-for batch size, else what half of the free memory holds, at most 1024 on a CPU, 512 on a GPU."""
        if self._request.batch_size:
            return self._request.batch_size
        per_row = tokens_per_row * _cache_bytes_per_token(self._model.config, self._model.dtype.itemsize)
        per_row += 4 * 8 * int(self._model.config.get_text_config().vocab_size)
        rows = int(_free_bytes(self._model.device) * MEMORY_SHARE / per_row)
        limit = MAX_ROWS_CPU if self._model.device.type == "cpu" else MAX_ROWS_GPU
        return max(1, min(limit, rows))

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """One `generate` call for the unit; prompts are prefilled once and their cache repeated."""
        import torch

        prompts = [cell.problem.prompt for cell in work]
        stops = work[0].problem.stop
        if any(cell.problem.stop != stops for cell in work):
            raise ModelError(f"task '{work[0].problem.task}': problems of one task must share their stop strings")
        if stops not in self._ends:
            self._ends[stops] = with_stop_tokens(self._eos_ids, stops, self._tokenizer)
        with torch.inference_mode():
            ids, mask = self._encode(prompts)
            rows = torch.tensor([row for row, cell in enumerate(work) for _ in cell.indices], device=ids.device)
            choice = SeededChoice([seed for cell in work for seed in cell.seeds], ids.shape[1])
            options = self._generation(law, stops, ids.shape[1])
            options["logits_processor"] = self._processors(law, choice, ids[rows], mask[rows])
            output = self._generate(ids, mask, rows, options)
        new = output[:, ids.shape[1] :].cpu()
        logprobs = torch.stack(choice.logprobs, dim=1).double().cpu() if choice.logprobs else None
        return self._samples(work, new, logprobs, stops)

    def close(self) -> None:
        """Drops the model and returns cached GPU memory."""
        import torch

        self._lm = self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

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
        if ids.shape[1] < 2 or self._model.config.is_encoder_decoder or not _plain_attention(config):
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
        self, work: WorkUnit, new: torch.Tensor, logprobs: torch.Tensor | None, stops: tuple[str, ...]
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
        cells = [(cell, index, seed) for cell in work for index, seed in zip(cell.indices, cell.seeds, strict=True)]
        return [
            Sample(
                task=cell.problem.task,
                model=self._request.role,
                problem_id=cell.problem.problem_id,
                index=index,
                seed=seed,
                text=texts[row],
                finish_reason=FinishReason.STOP if stopped[row] else FinishReason.LENGTH,
                n_tokens=counts[row],
                logprob_sum=totals[row],
            )
            for row, (cell, index, seed) in enumerate(cells)
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


def _cache_bytes_per_token(config: Any, itemsize: int) -> int:
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or getattr(text, "num_attention_heads", 1)
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * head_size * itemsize)


def _free_bytes(device: torch.device) -> int:
    import psutil
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return int(psutil.virtual_memory().available)
