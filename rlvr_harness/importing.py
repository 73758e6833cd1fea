"""Samples that other programs drew and judged, made into a run folder: stored as a stream, checked row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rlvr_harness.errors import TaskError, UsageError
from rlvr_harness.exchange_contracts import ForeignChoice, ForeignRow, ForeignSample, SampleImporter
from rlvr_harness.foreign_files import ImportChoice
from rlvr_harness.local_tokenizer import about_tokens
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Tally, Verdict
from rlvr_harness.requests import ImportRequest
from rlvr_harness.reverifying import judge_stored
from rlvr_harness.run_reader import count_verdicts, read_texts
from rlvr_harness.run_store import RunStore
from rlvr_harness.stages.measuring import ModelTallies
from rlvr_harness.stages.tallying import count_answers, count_texts, tally_verdicts
from rlvr_harness.stages.verifying import VerifierPool

TOGETHER = 512
"""Samples and verdicts that are handed to the store at once: a call of their own each takes half the time of all."""


@dataclass(slots=True)
class _Known:
    """A problem as the first row of a model's file showed it."""

    problem: Problem
    prompt: str | None
    reference: str | None
    fingerprint: str | None
    samples: int = 0


@dataclass
class ImportedModel:
    """What one model's file held for one task. `sums` is problem_id -> [verified, right, void]."""

    role: str
    source: str
    judge: str = ""
    problems: dict[str, _Known] = field(default_factory=dict)
    sums: dict[str, list[int]] = field(default_factory=dict)
    texts: int = 0
    only_counted: bool = False
    ends_known: bool = True
    tokens_known: bool = True
    other_prompts: int = 0


@dataclass(frozen=True)
class ImportedTask:
    """One task of an import: its models with their tallies, and what a reader must know."""

    name: str
    verifier: str
    models: Sequence[ImportedModel]
    tallies: Sequence[ModelTallies]
    warnings: Sequence[str]

    @property
    def same_prompt(self) -> bool | None:
        """Whether every model was given the same prompts; None where the files do not tell."""
        if any(model.other_prompts for model in self.models):
            return False
        known = all(each.prompt is not None for model in self.models for each in model.problems.values())
        return True if known and self.stored else None

    @property
    def stored(self) -> bool:
        """Whether there are texts, and not only counts."""
        return any(model.texts for model in self.models)


def import_task(
    store: RunStore, importer: SampleImporter, request: ImportRequest, task: Mapping[str, str | None], how: ImportChoice
) -> ImportedTask:
    """Stores the samples of one task (`task`: role -> its name in the file) and tallies them."""
    models: list[ImportedModel] = []
    for role, in_file in task.items():
        model = ImportedModel(role, str(request.files[role]))
        choice = ForeignChoice(in_file, how.metric, how.threshold)
        _Intake(store, request.task, importer.name, model, models[0] if models else None, how).take(
            importer.rows(request.files[role], choice)
        )
        models.append(model)
    _check_judges(models)
    _check_shared(models)
    if any(model.texts for model in models):
        _write_problems(store, request.task, models)
    store.commit()
    verifier = how.verifier.name if how.verifier else imported_verifier(importer.name)
    tallies = [_tallies(store, request, model, verifier, how) for model in models]
    warnings = [line for model in models for line in _warnings(model, models[0])]
    return ImportedTask(request.task, verifier, models, tallies, warnings)


def _write_problems(store: RunStore, task: str, models: Sequence[ImportedModel]) -> None:
    """The problems of all models under one name, and those of a model whose prompts differ under its own."""
    union = {i: each.problem for model in reversed(models) for i, each in model.problems.items()}
    order = dict.fromkeys(i for model in models for i in model.problems)
    store.write_problems(task, [union[i] for i in order])
    for model in models:
        if model.other_prompts:
            store.write_problems(task, [each.problem for each in model.problems.values()], model.role)


def imported_verifier(form: str) -> str:
    """Under which name the verdicts of a file are stored: "lm-eval" -> "imported:lm-eval"."""
    return f"imported:{form}"


class _Intake:
    """Takes the rows of one model: checks them against what is known of their problems, and stores them."""

    def __init__(
        self,
        store: RunStore,
        task: str,
        form: str,
        model: ImportedModel,
        first: ImportedModel | None,
        how: ImportChoice,
    ) -> None:
        self._store, self._task, self._form, self._model, self._first, self._how = store, task, form, model, first, how
        self._samples: list[Sample] = []
        self._verdicts: list[Verdict] = []

    def take(self, rows: Iterator[ForeignRow]) -> None:
        model = self._model
        for row in rows:
            if row.judge and model.judge and row.judge != model.judge:
                raise UsageError(
                    f"{row.where}: judged by {row.judge}, rows before by {model.judge}; choose by --metric"
                )
            model.judge = model.judge or row.judge
            known = self._known(row)
            self._count(row)
            self._keep(row, known)
            if len(self._verdicts) + len(self._samples) >= TOGETHER:
                self._flush()
        self._flush()
        if not model.problems:
            raise TaskError(f"{model.source} holds no samples of task '{self._task}'")

    def _known(self, row: ForeignRow) -> _Known:
        model = self._model
        known = model.problems.get(row.problem_id)
        if known is None:
            problem = Problem(
                self._task, row.problem_id, row.prompt or "", row.reference or "", metadata=dict(row.metadata)
            )
            known = _Known(problem, row.prompt, row.reference, row.fingerprint)
            model.problems[row.problem_id] = known
            model.sums[row.problem_id] = [0, 0, 0]
            before = self._first.problems.get(row.problem_id) if self._first else None
            if before is not None and self._first is not None and _same(row, before, self._first.source, self._how):
                model.other_prompts += 1
        else:
            _same(row, known, "a row before", None)
        return known

    def _count(self, row: ForeignRow) -> None:
        sums = self._model.sums[row.problem_id]
        if row.right is not None:
            self._model.only_counted = True
            sums[0] += len(row.samples)
            sums[1] += row.right
            return
        for sample in row.samples:
            if sample.outcome is None and self._how.verifier is None:
                raise TaskError(
                    f"{row.where}: problem '{row.problem_id}' has a sample without verdict ({sample.reason}); "
                    "judge the texts with --verifier NAME"
                )
            sums[0] += sample.outcome in (Outcome.RIGHT, Outcome.WRONG)
            sums[1] += sample.outcome is Outcome.RIGHT
            sums[2] += sample.outcome is Outcome.VOID

    def _keep(self, row: ForeignRow, known: _Known) -> None:
        model = self._model
        for foreign in row.samples:
            index = known.samples
            known.samples += 1
            model.ends_known &= foreign.finish_reason is not None
            if foreign.outcome is not None:
                reason = foreign.reason or foreign.outcome.value
                self._verdicts.append(Verdict(row.problem_id, index, foreign.outcome, foreign.answer, reason))
            if foreign.text is None:
                if self._how.verifier is not None:
                    raise TaskError(f"{row.where}: a sample has no text, so --verifier cannot judge it")
                model.tokens_known = False
                continue
            model.tokens_known &= foreign.n_tokens is not None
            model.texts += 1
            self._samples.append(self._sample(row, index, foreign, foreign.text))

    def _flush(self) -> None:
        """Hands on what has been gathered. Verdicts without any text are not stored: counts tell as much."""
        self._store.append_samples(self._samples)
        if self._model.texts:
            name = imported_verifier(self._form)
            self._store.append_verdicts(self._task, self._model.role, name, self._verdicts)
        self._samples, self._verdicts = [], []
        self._store.commit_if_due()

    def _sample(self, row: ForeignRow, index: int, foreign: ForeignSample, text: str) -> Sample:
        return Sample(
            self._task,
            self._model.role,
            row.problem_id,
            index,
            0,
            text.encode("utf-8", "replace").decode(),
            foreign.finish_reason or FinishReason.STOP,
            about_tokens(text) if foreign.n_tokens is None else foreign.n_tokens,
            foreign.logprob_sum,
        )


def _same(row: ForeignRow, known: _Known, source: str, how: ImportChoice | None) -> bool:
    """Whether the prompt differs and may; raises TaskError where it is another problem, or may not differ."""
    pairs = (("content", row.fingerprint, known.fingerprint), ("reference answer", row.reference, known.reference))
    for what, here, there in pairs:
        if here is not None and there is not None and here != there:
            raise TaskError(f"{row.where}: problem '{row.problem_id}' has another {what} than in {source}")
    if row.prompt is None or known.prompt is None or row.prompt == known.prompt:
        return False
    if how is None or not how.allow_unfair:
        way_out = "" if how is None else "; compare all the same with --allow_unfair"
        raise TaskError(f"{row.where}: problem '{row.problem_id}' has another prompt than in {source}{way_out}")
    return True


def _check_judges(models: Sequence[ImportedModel]) -> None:
    judges = {model.judge: model.role for model in models if model.judge}
    if len(judges) > 1:
        listed = "; ".join(f"{role}: {judge}" for judge, role in judges.items())
        raise UsageError(f"the models are judged by different scores ({listed}); name one with --metric")


def _check_shared(models: Sequence[ImportedModel]) -> None:
    first, *others = models
    for model in others:
        if not set(first.problems) & set(model.problems):
            mine, theirs = next(iter(model.problems)), next(iter(first.problems))
            raise TaskError(
                f"{model.source} and {first.source} share no problem ('{mine}' here, '{theirs}' there); are they of "
                "one task?"
            )


def _tallies(
    store: RunStore, request: ImportRequest, model: ImportedModel, verifier: str, how: ImportChoice
) -> ModelTallies:
    task, plan = request.task, {"kind": "imported"}
    name = request.files[model.role].stem
    if how.verifier is not None:
        problems = {i: each.problem for i, each in model.problems.items()}
        with VerifierPool(how.verifier, how.workers) as pool:
            judge_stored(store, task, model.role, pool, (verifier, problems))
    plain = [Tally(i, *sums) for i, sums in model.sums.items()]
    if not model.texts:
        return ModelTallies(model.role, name, plain, plan=plan)
    texts = count_texts(read_texts(store.folder, task, model.role))
    complete = texts.samples == sum(each.samples for each in model.problems.values())
    counted = how.verifier is None and (model.only_counted or not complete)
    verdicts = [] if counted else count_verdicts(store.folder, task, model.role, verifier)
    return ModelTallies(
        role=model.role,
        name=name,
        tallies=plain if counted else tally_verdicts(list(model.problems), verdicts),
        truncated=texts.truncated if model.ends_known else None,
        mean_tokens=texts.mean_tokens if model.tokens_known else None,
        answers=count_answers(verdicts) or None,
        distinct_texts=texts.distinct if complete else None,
        plan=plan,
        truncated_share=texts.truncated_share if model.ends_known else None,
    )


def _warnings(model: ImportedModel, first: ImportedModel) -> Iterator[str]:
    if model.other_prompts:
        yield f"{model.role}: {model.other_prompts:,} problems were asked with another prompt than for {first.role}"
    if alone := len(set(model.problems) ^ set(first.problems)):
        yield f"{model.role} and {first.role} do not have the same problems: {alone:,} are in one of them alone"
