"""`load_run`: a run folder as pandas tables and matplotlib plots, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr_harness.errors import UnknownName, UsageError, nearest
from rlvr_harness.parts.columns import SAMPLE_SCHEMA, VERDICT_SCHEMA
from rlvr_harness.parts.reading import KEY
from rlvr_harness.report import figures
from rlvr_harness.report.reading import compared_roles, comparisons, curve, listed, mapping, roles, tasks, text
from rlvr_harness.run_reader import read_json, read_problems, sample_batches, verdict_batches
from rlvr_harness.schemas.checking import read_results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

POINT = ("value", "low", "high", "sampling_low", "sampling_high")
DEFAULT_COLUMNS = (*KEY, "text", "finish_reason", "n_tokens", "outcome", "answer")
VERDICT_COLUMNS = tuple(name for name in VERDICT_SCHEMA if name not in KEY)
DEFAULT_LIMIT = 1000
"""Rows of `samples`: a million completions of 16,384 tokens would not fit in memory."""


def load_run(path: str | Path) -> LoadedRun:
    """The run of a folder that holds results.json, or of a results.json by itself; raises RunFolderError.

    Counts and imported results do as well: what has no stored samples has no rows of them.
    """
    given = Path(path).expanduser()
    folder = given.parent if given.name == "results.json" else given
    results = read_results(folder)
    record = read_json(folder, "run.json") if (folder / "run.json").is_file() else {}
    return LoadedRun(folder, results, record)


@dataclass(frozen=True)
class LoadedRun:
    """A finished run: `results` is the content of results.json, `record` that of run.json, empty where there is none.

    Tables are pandas DataFrames, and numbers are fractions, as in results.json; plots are in percent, as the report's.
    """

    folder: Path
    results: Mapping[str, Any]
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        """The folder, its tasks and models, in one line."""
        models = {role: None for task in tasks(self.results).values() for role in roles(task)}
        return f"LoadedRun({str(self.folder)!r}, tasks={list(self.tasks)}, models={list(models)})"

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(tasks(self.results))

    def models(self, task: str | None = None) -> DataFrame:
        """A row per task and model: samples, right, wrong, void, truncated_share, mean_tokens and the model's name."""
        import pandas as pd

        names = ("name", "samples", "right", "wrong", "void", "truncated_share", "mean_tokens")
        rows = [
            {"task": name, "model": role, **{key: mapping(entry, "models", role).get(key) for key in names}}
            for name, entry in self._chosen(task).items()
            for role in roles(entry)
        ]
        return pd.DataFrame(rows, columns=["task", "model", *names])

    def pass_at_k(self, task: str | None = None) -> DataFrame:
        """A row per task, model and k: pass@k with its intervals; of one task where it is named."""
        import pandas as pd

        rows = [
            (name, role, k, *(getattr(point, side) for side in POINT))
            for name, entry in self._chosen(task).items()
            for role in roles(entry)
            for k, point in curve(entry, "models", role, "pass_at_k").items()
        ]
        return pd.DataFrame(rows, columns=["task", "model", "k", *POINT])

    def difference(self, task: str | None = None) -> DataFrame:
        """A row per task, comparison and k: pass@k of `model` minus that of `base`, by problem, with its interval."""
        import pandas as pd

        rows = [
            (name, *compared_roles(found), k, *(getattr(point, side) for side in POINT[:3]))
            for name, entry in self._chosen(task).items()
            for found in comparisons(entry)
            for k, point in curve(found, "difference").items()
        ]
        return pd.DataFrame(rows, columns=["task", "base", "model", "k", *POINT[:3]])

    def problems(self, task: str) -> DataFrame:
        """A row per problem: problem_id, prompt, reference and metadata; of counts alone only the problem_id."""
        import pandas as pd

        entry = self._task(task)
        rows: list[tuple[Any, ...]]
        if found := read_problems(self.folder, task):
            rows = [(one.problem_id, one.prompt, one.reference, dict(one.metadata)) for one in found]
        else:
            ids = [name for role in roles(entry) for name in listed(entry, "models", role, "counts", "problem_id")]
            rows = [(name, None, None, {}) for name in dict.fromkeys(ids)]
        return pd.DataFrame(rows, columns=["problem_id", "prompt", "reference", "metadata"])

    def tallies(self, task: str, model: str) -> DataFrame:
        """A row per problem: n samples with a verdict, c of them right.

        Under a sequential plan n depends on what was found, and c / n is then no unbiased rate; pass_at_k() is.
        """
        import pandas as pd

        counts = mapping(self._model(task, model), "counts")
        return pd.DataFrame({name: listed(counts, name) for name in ("problem_id", "n", "c")})

    def samples(
        self,
        task: str,
        model: str,
        columns: Sequence[str] = DEFAULT_COLUMNS,
        limit: int | None = DEFAULT_LIMIT,
        problem_id: str | None = None,
    ) -> DataFrame:
        """At most `limit` stored samples, with their verdicts where `columns` name any; of one problem where named.

        Columns: those of samples and verdicts in docs/run-folder.md. `limit=None` gives all, if memory holds them.
        """
        import pandas as pd

        chosen = self._checked(task, model, columns)
        if limit is not None and limit < 0:
            raise UsageError(f"samples: limit is {limit}; give a number of rows from 0 on, or None for all")
        stored = [name for name in SAMPLE_SCHEMA if name in chosen or name in KEY]
        frames: list[DataFrame] = []
        room = limit
        for batch in sample_batches(self.folder, task, model, stored):
            frame = batch.to_pandas()
            frame = frame if problem_id is None else frame[frame["problem_id"] == problem_id]
            frame = frame if room is None else frame.head(room)
            room = None if room is None else room - len(frame)
            frames.append(frame)
            if room == 0:
                break
        found = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=stored)
        if wanted := [name for name in chosen if name in VERDICT_COLUMNS]:
            found = self._judged(found, (task, model), wanted)
        return found[chosen]

    def each_sample(
        self, task: str, model: str, columns: Sequence[str] = (*KEY, "text", "finish_reason", "n_tokens")
    ) -> Iterator[DataFrame]:
        """All stored samples in tables of bounded size, one after another; columns of samples only."""
        chosen = self._checked(task, model, columns)
        if judged := [name for name in chosen if name in VERDICT_COLUMNS]:
            raise UsageError(f"each_sample has no column '{judged[0]}': verdicts come with samples(...)")
        stored = [name for name in SAMPLE_SCHEMA if name in chosen or name in KEY]
        for batch in sample_batches(self.folder, task, model, stored):
            yield batch.to_pandas()[chosen]

    def plot_pass_at_k(self, task: str | None = None, ax: Axes | None = None) -> Axes:
        """pass@k of all models over k with bands, as in the report; on `ax`, else on new axes."""
        return self._plot("pass_at_k", task, ax)

    def plot_difference(self, task: str | None = None, ax: Axes | None = None) -> Axes:
        """Paired difference to the base over k, in points."""
        return self._plot("difference", task, ax)

    def plot_accuracy_shift(self, task: str | None = None, ax: Axes | None = None) -> Axes:
        """Problems by accuracy under base and model."""
        return self._plot("shift", task, ax)

    def plot_accuracy(self, task: str | None = None, ax: Axes | None = None) -> Axes:
        """Problems per bin of accuracy, by model."""
        return self._plot("accuracy", task, ax)

    def plot_solved(self, task: str | None = None, ax: Axes | None = None) -> Axes:
        """Shares of problems solved by both, base only, model only and neither."""
        return self._plot("solved", task, ax)

    def _plot(self, stem: str, task: str | None, ax: Axes | None) -> Axes:
        if task is None and len(self.tasks) != 1:
            raise UsageError(f"name the task to plot; there are: {', '.join(self.tasks) or 'none'}")
        name = task or self.tasks[0]
        entry = self._task(name)
        drawing = next((one for one in figures.drawings(entry) if one.stem == stem), None)
        if drawing is None:
            raise UsageError(f"task '{name}' has no numbers for the plot '{stem}', which may need a base")
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots()[1]
        drawing.draw(ax, entry)
        if not ax.get_title(loc="left"):
            ax.set_title(text(name, 30), loc="left")
        return ax

    def _judged(self, found: DataFrame, of: tuple[str, str], wanted: Sequence[str]) -> DataFrame:
        """The samples with these columns of their verdicts, empty where they have none."""
        import pandas as pd

        verifier = mapping(self.record, "tasks", of[0]).get("verifier")
        keys = pd.MultiIndex.from_frame(found[list(KEY)])
        frames = [pd.DataFrame(columns=[*KEY, *wanted])]
        if verifier is not None and len(found):
            for batch in verdict_batches(self.folder, of, str(verifier), [*KEY, *wanted]):
                frame = batch.to_pandas()
                frame = frame[pd.MultiIndex.from_frame(frame[list(KEY)]).isin(keys)]
                if len(frame):
                    frames.append(frame)
        verdicts = pd.concat(frames[1:], ignore_index=True) if len(frames) > 1 else frames[0]
        return found.merge(verdicts.astype({KEY[1]: found[KEY[1]].dtype}), how="left", on=list(KEY))

    def _checked(self, task: str, model: str, columns: Sequence[str]) -> list[str]:
        self._model(task, model)
        known = [*SAMPLE_SCHEMA, *VERDICT_COLUMNS]
        for name in columns:
            if name not in known:
                raise UnknownName(
                    f"samples have no column '{name}'{nearest(name, known)}; there are: {', '.join(known)}"
                )
        return list(columns)

    def _chosen(self, task: str | None) -> Mapping[str, Mapping[str, Any]]:
        return tasks(self.results) if task is None else {task: self._task(task)}

    def _task(self, task: str) -> Mapping[str, Any]:
        found = tasks(self.results).get(task)
        if found is None:
            known = ", ".join(self.tasks) or "none"
            raise UnknownName(f"{self.folder} has no task '{task}'{nearest(task, self.tasks)}; there are: {known}")
        return found

    def _model(self, task: str, model: str) -> Mapping[str, Any]:
        entry = self._task(task)
        if model not in roles(entry):
            raise UnknownName(f"task '{task}' has no model '{model}'; there are: {', '.join(roles(entry))}")
        return mapping(entry, "models", model)
