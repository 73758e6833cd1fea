"""Log-likelihoods and entropies of given texts by teacher forcing, in batches of even length and bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rlvr_harness import ModelError, ModelRequest, TextEntropy, TextPair, TextScore, text_ids
from rlvr_hf.memory import free_bytes

if TYPE_CHECKING:
    import torch

LOGITS_BYTES_CPU = 256 * 2**20
LOGITS_BYTES_GPU = 2**30
"""Memory for the logits of one step over the vocabulary, with the copies that log-softmax and entropy make of them."""
LOGITS_COPIES = 4
MOST_TOKENS_CPU = 8_192
MOST_TOKENS_GPU = 65_536
"""Tokens, padding included, that go through the model at once; more only delays the next commit."""
MEMORY_SHARE = 0.5
PROBE_TOKENS = 8
Result = TypeVar("Result")
Reduce = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""(logits in float32, shape (positions, vocabulary); the tokens that follow) -> numbers, shape (positions, results)."""
Head = Callable[["torch.Tensor"], "torch.Tensor"]
"""Last hidden states -> logits."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Row:
    place: int
    ids: list[int]
    prompt_length: int


class Teacher:
    """Feeds a model with prompt and text, and reduces the logits at each token of the text to some numbers."""

    def __init__(self, lm: Any, model: Any, batch_size: int | None, free_bytes: int) -> None:
        """`lm` is lm-eval's HFLM, `model` what samples; `batch_size`: most texts at once, None for what fits."""
        self._lm, self._tokenizer = lm, lm.tokenizer
        # An adapter's layers lie inside the model that it is put on.
        self._model = model.get_base_model() if hasattr(model, "get_base_model") else model
        config = self._model.config
        if config.is_encoder_decoder:
            raise ModelError(f"model '{config.name_or_path}' is an encoder-decoder; only causal models score texts")
        text = config.get_text_config()
        self._context: int | None = getattr(text, "max_position_embeddings", None)
        cpu = self._model.device.type == "cpu"
        logits_bytes = LOGITS_BYTES_CPU if cpu else LOGITS_BYTES_GPU
        self._logits_rows = max(1, logits_bytes // (4 * LOGITS_COPIES * int(text.vocab_size)))
        per_token = 4 * (16 * int(text.hidden_size) + 4 * int(getattr(text, "intermediate_size", 0) or 0))
        most = MOST_TOKENS_CPU if cpu else MOST_TOKENS_GPU
        self._most_tokens = max(1, min(most, int(free_bytes * MEMORY_SHARE / per_token)))
        self._most_rows = batch_size or most
        self._probed = False
        self._head: Head | None = None

    def score(self, pairs: Sequence[TextPair]) -> Iterator[tuple[int, TextScore]]:
        """The sum of log probabilities of each text, in float64 over terms in float32."""

        def reduce(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            return logits.log_softmax(dim=-1).gather(1, tokens.unsqueeze(1))

        for place, sums, count in self._reduced(pairs, reduce):
            yield place, TextScore(None if sums is None else sums[0], count)

    def token_entropies(
        self, pairs: Sequence[TextPair], temperatures: Sequence[float]
    ) -> Iterator[tuple[int, TextEntropy]]:
        """The sums of entropies of each text."""
        import torch

        def reduce(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            columns = []
            for temperature in temperatures:
                logs = (logits / temperature).log_softmax(dim=-1)
                # A token of probability 0 adds nothing, where 0 * -inf would be no number.
                columns.append(torch.special.entr(logs.exp()).sum(dim=-1))
            return torch.stack(columns, dim=1)

        for place, sums, count in self._reduced(pairs, reduce):
            yield place, TextEntropy(sums, count)

    def _reduced(
        self, pairs: Sequence[TextPair], reduce: Reduce
    ) -> Iterator[tuple[int, tuple[float, ...] | None, int]]:
        """(place, sums over the tokens of the text, number of them); None for sums where the context is too short."""
        rows = []
        for place, pair in enumerate(pairs):
            row = self._row(place, pair)
            if self._context is not None and len(row.ids) > self._context:
                yield place, None, len(row.ids) - row.prompt_length
            else:
                rows.append(row)
        rows.sort(key=lambda row: -len(row.ids))
        start = 0
        while start < len(rows):
            count = max(1, min(self._most_rows, self._most_tokens // len(rows[start].ids), len(rows) - start))
            batch = rows[start : start + count]
            sums = self._tried(batch, reduce)
            if sums is None:
                continue
            for row, total in zip(batch, sums, strict=True):
                yield row.place, total, len(row.ids) - row.prompt_length
            start += count

    def _row(self, place: int, pair: TextPair) -> _Row:
        """Prompt as it was sampled from, then the text."""
        ids, mask = self._lm.tok_batch_encode([pair.prompt])
        prompt = [int(token) for token, there in zip(ids[0].tolist(), mask[0].tolist(), strict=True) if there]
        prompt = prompt or [int(self._lm.prefix_token_id)]
        return _Row(place, prompt + text_ids(self._tokenizer, pair.prompt, pair.text), len(prompt))

    def _tried(self, batch: Sequence[_Row], reduce: Reduce) -> list[tuple[float, ...]] | None:
        """The sums of each row; None, and fewer tokens at once from now on, where memory ran out."""
        import torch

        try:
            with torch.inference_mode():
                return self._sums(batch, reduce)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not _ran_out_of_memory(error):
                raise
            longest = len(batch[0].ids)
            if len(batch) == 1 and self._logits_rows == 1:
                raise ModelError(
                    f"a text of {longest:,} tokens with its prompt does not fit in memory by itself; leave it out, or "
                    "score on a device with more memory"
                ) from error
            self._most_tokens = max(longest, len(batch) * longest // 2)
            self._logits_rows = max(1, self._logits_rows // 2)
            self._most_rows = max(1, len(batch) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _LOG.warning("out of memory while scoring; going on with %d texts at once", self._most_rows)
        return None

    def _sums(self, batch: Sequence[_Row], reduce: Reduce) -> list[tuple[float, ...]]:
        import torch

        width = max(len(row.ids) for row in batch)
        device = self._model.device
        # Padded on the right: no token of a causal model sees what comes after it.
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        wanted = torch.zeros((len(batch), width), dtype=torch.bool)
        for number, row in enumerate(batch):
            ids[number, : len(row.ids)] = torch.tensor(row.ids)
            mask[number, : len(row.ids)] = 1
            wanted[number, row.prompt_length - 1 : len(row.ids) - 1] = True
        ids, mask = ids.to(device), mask.to(device)
        numbers, columns = wanted.nonzero(as_tuple=True)
        pieces = list(self._pieces(ids, mask, (numbers.to(device), columns.to(device)), reduce))
        found = torch.cat(pieces) if pieces else torch.zeros((0, 1), dtype=torch.float64)
        sums = torch.zeros((len(batch), found.shape[1]), dtype=torch.float64).index_add_(0, numbers, found)
        return [tuple(row) for row in sums.tolist()]

    def _pieces(
        self, ids: torch.Tensor, mask: torch.Tensor, at: tuple[torch.Tensor, torch.Tensor], reduce: Reduce
    ) -> Iterator[torch.Tensor]:
        """What `reduce` makes of the logits at the places `at` = (rows, columns), some positions at a time."""
        rows, columns = at
        if not self._probed:
            self._head = self._find_head(ids[:1, :PROBE_TOKENS], mask[:1, :PROBE_TOKENS])
            self._probed = True
        hidden = self._body(ids, mask)[rows, columns] if self._head else None
        for start in range(0, len(rows), self._logits_rows):
            piece = slice(start, start + self._logits_rows)
            if self._head and hidden is not None:
                logits = self._head(hidden[piece])
            else:
                logits = self._logits_at(ids, mask, rows[piece], columns[piece])
            yield reduce(logits.float(), ids[rows[piece], columns[piece] + 1]).double().cpu()

    def _body(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self._model.base_model(
            input_ids=ids, attention_mask=mask, use_cache=False
        ).last_hidden_state
        return hidden

    def _find_head(self, ids: torch.Tensor, mask: torch.Tensor) -> Head | None:
        """How the model makes logits of its last hidden states; None where that is not seen on this short text.

        Such a model is run as a whole again for each piece of logits, so that memory stays bounded all the same.
        """
        import torch

        embedding, body = self._model.get_output_embeddings(), self._model.base_model
        if embedding is None or body is self._model:
            return None
        hidden = getattr(body(input_ids=ids, attention_mask=mask, use_cache=False), "last_hidden_state", None)
        if hidden is None:
            return None
        expected = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        for head in _heads(embedding, self._model.config.get_text_config()):
            found = head(hidden).float()
            if found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
                return head
        return None

    def _logits_at(
        self, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        """Logits at some positions by the model's own `forward`, of the rows and columns alone that they lie in."""
        first, last = int(rows.min()), int(rows.max()) + 1
        kept, place = columns.unique(return_inverse=True)
        options = {"attention_mask": mask[first:last], "use_cache": False}
        try:
            logits = self._model(input_ids=ids[first:last], logits_to_keep=kept, **options).logits
        except TypeError:
            logits = self._model(input_ids=ids[first:last], **options).logits
        if logits.shape[1] == len(kept):
            columns = place
        picked: torch.Tensor = logits[rows - first, columns]
        return picked


def _heads(embedding: Any, config: Any) -> Iterator[Head]:
    """The output embedding alone, then with what some architectures do to logits after it."""
    yield embedding
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma
        yield lambda hidden: (embedding(hidden) / cap).tanh() * cap
    if scale := getattr(config, "logit_scale", None):  # Cohere
        yield lambda hidden: embedding(hidden) * scale
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        yield lambda hidden: embedding(hidden) / divisor


def _ran_out_of_memory(error: BaseException) -> bool:
    """transformers and torch tell of memory in several classes; other RuntimeErrors are no matter of size."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


class Teaching:
    """A model that scores given texts too; see `ScoringModel` and `EntropyModel`."""

    _lm: Any
    _model: Any
    _request: ModelRequest
    _teacher: Teacher | None = None

    def score(self, pairs: Sequence[TextPair]) -> Iterator[tuple[int, TextScore]]:
        """The log probability of each text, as it is worked out."""
        return self._ready().score(pairs)

    def token_entropies(
        self, pairs: Sequence[TextPair], temperatures: Sequence[float]
    ) -> Iterator[tuple[int, TextEntropy]]:
        """The entropies of each text's tokens at these temperatures, as they are worked out."""
        return self._ready().token_entropies(pairs, temperatures)

    def _ready(self) -> Teacher:
        """One for all calls: it remembers how many texts fit in memory."""
        if self._teacher is None:
            free = free_bytes(self._model.device)
            self._teacher = Teacher(self._lm, self._model, self._request.batch_size, free)
        return self._teacher
