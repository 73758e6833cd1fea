"""What the commands do: plan, run, resume, report and import, each a function over a RunSpec or a run folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlvr_harness import budgeting, provenance
from rlvr_harness.assembling import results_of_counts
from rlvr_harness.checking import agreement_lines, check_rows, read_labelled, write_jsonl
from rlvr_harness.confining import confine
from rlvr_harness.contracts import Importer, ReportSection, Verifier
from rlvr_harness.costing import DETECTABLE
from rlvr_harness.device_groups import check_kinds
from rlvr_harness.errors import RunFolderError, UsageError
from rlvr_harness.estimating import Known, plan_lines
from rlvr_harness.exchange_contracts import SampleImporter
from rlvr_harness.foreign_files import ImportChoice, find_importer
from rlvr_harness.foreign_metric import NO_CHOICE, MetricChoice
from rlvr_harness.import_results import import_samples
from rlvr_harness.plugin_sections import plugin_sections
from rlvr_harness.preparing import PreparedRun, find_task, prepare
from rlvr_harness.probing import probe
from rlvr_harness.profiles import find_profile
from rlvr_harness.records import Problem
from rlvr_harness.registry import load_plugins, load_working
from rlvr_harness.requests import Counts, ImportRequest, PromptRequest, SandboxChoice
from rlvr_harness.reverifying import verify_again
from rlvr_harness.run_reader import read_json
from rlvr_harness.run_spec import RunSpec, identity, parse_named, parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.running import Way, run_stages
from rlvr_harness.schemas.checking import read_results
from rlvr_harness.stages.reporting import write_reports
from rlvr_harness.stopping import Stopped
from rlvr_harness.topping_up import raised

Results = dict[str, Any]
DEMO_MODELS: Mapping[str, Any] = {"model": "demo/rlvr", "base": "demo/base", "also": {"distilled": "demo/distilled"}}
NO_MACHINES: Mapping[str, Any] = {}
DEMO_LAWS: Mapping[str, Mapping[str, float]] = {
    "T1.0": {"temperature": 1.0, "top_p": 1.0},
    "T0.6": {"temperature": 0.6, "top_p": 0.95},
}


@dataclass(frozen=True)
class Finished:
    """A finished run: its results and where the report lies."""

    folder: Path
    results: Results


def plan(
    spec: RunSpec, tokens_per_s: float | None = None, measure: bool = False, detectable: float = DETECTABLE
) -> list[str]:
    """The plan of a run, line by line; samples nothing, but for a short burst per model where it is to `measure`."""
    prepared = prepare(spec, load_plugins(spec.without))
    known = Known(tokens_per_s, probe(prepared) if measure else {}, detectable)
    return _plan_text(prepared, known)


def _plan_text(prepared: PreparedRun, known: Known | None = None) -> list[str]:
    whole = budgeting.without_budget(prepared)
    spent = f"a budget of {prepared.spec.budget}: after the first, a stage is drawn only where it fits"
    devices = "; ".join(f"{role} on {request.device}" for role, request in prepared.requests.items())
    beside = f"all models at the same time, each on devices of its own: {devices}"
    words = [*([spent] if prepared.spec.budget else []), *([beside] if prepared.side_by_side else [])]
    return [*plan_lines(whole, known), *words, *prepared.notes]


def run(spec: RunSpec, quiet: bool = False) -> Finished:
    """Samples, verifies, measures and reports; goes on where an earlier run of the same spec stopped."""
    folder = spec.output_path or default_folder(spec)
    earlier = read_json(folder, "run.json") if (folder / "run.json").is_file() else None
    if earlier is not None:
        earlier = _going_on(folder, earlier, spec)
    elif folder.is_dir() and any(path.name != ".lock" for path in folder.iterdir()):
        raise RunFolderError(f"{folder} is not empty and holds no run; choose another folder with -o")
    return _run(spec, folder, earlier, Way(quiet))


def resume(folder: Path, quiet: bool = False, machines: Mapping[str, Any] = NO_MACHINES) -> Finished:
    """Completes the run of a folder to the samples that its spec asks for; `machines` as in `_earlier_spec`."""
    earlier = read_json(folder, "run.json")
    return _run(_earlier_spec(folder, earlier, machines), folder, earlier, Way(quiet))


def topup(
    folder: Path, n: int, k: int | None = None, quiet: bool = False, machines: Mapping[str, Any] = NO_MACHINES
) -> Finished:
    """Raises the samples per problem of a folder's run to `n`, and its largest k to `k` where given."""
    earlier = read_json(folder, "run.json")
    spec, earlier = raised(_earlier_spec(folder, earlier, machines), earlier, n, k)
    return _run(spec, folder, earlier, Way(quiet))


def verify(
    folder: Path, verifier: str | None, workers: int | None, quiet: bool, choice: MetricChoice = NO_CHOICE
) -> Iterator[str]:
    """Judges stored samples again; lines on where two verifiers differ, or the renewed verdict sentence."""
    registry = load_plugins()
    found = list(verify_again(folder, registry, verifier, workers or provenance.free_cores(), choice))
    if found:
        yield from (one.line() for one in found)
        rebuild_report([folder])
        yield f"cases: {folder / f'disagreement-{found[0].second}.json'}"
        return
    earlier = read_json(folder, "run.json")
    finished = _run(_earlier_spec(folder, earlier), folder, earlier, Way(quiet, sampling=False))
    yield f"report: {finished.folder / 'report.html'}"


def check_verifier(
    file: Path, task: str | None, verifier: str | None, prompt: str, data_dir: Path | None, **options: Any
) -> Iterator[str]:
    """Verdicts on the rows of a file, written to `output_path` where given; yields the agreement table.

    `options`: workers, output_path, sandbox and sandbox_level; for lm-eval tasks include_path, metric and threshold.
    """
    registry = load_plugins()
    problems: dict[str, Problem] = {}
    name: str | Verifier = verifier or "math"
    if task is not None:
        choice = MetricChoice(options["metric"], options["threshold"])
        loaded = find_task(registry, task, options["include_path"], choice).load(PromptRequest(data_dir=data_dir))
        problems = {problem.problem_id: problem for problem in loaded.problems}
        name = verifier or loaded.verifier
    judge: Verifier = registry.get("verifier", name) if isinstance(name, str) else name
    confined = confine(judge, registry, SandboxChoice(options["sandbox"], options["sandbox_level"]))
    judge = confined.verifier if confined else judge
    workers = options["workers"] or provenance.free_cores()
    checked = check_rows(read_labelled(file), problems, judge, find_profile(prompt).answer_policy, workers)
    if options["output_path"] is not None:
        write_jsonl(options["output_path"], [one.as_data() for one in checked])
    yield from agreement_lines(checked)


def default_folder(spec: RunSpec) -> Path:
    """runs/<model>-vs-<base>, by the last parts of their paths."""
    model = Path(spec.model).name
    return Path("runs") / (f"{model}-vs-{Path(spec.base).name}" if spec.base else model)


def _earlier_spec(folder: Path, earlier: Mapping[str, Any], machines: Mapping[str, Any] = NO_MACHINES) -> RunSpec:
    """The spec of the folder's run; `machines`: options on where the work is done, put in place of those it had."""
    if "spec" not in earlier and "imported" not in earlier:
        raise RunFolderError(f"{folder}/run.json is damaged: it holds no 'spec'; restore it from a copy")
    if "spec" not in earlier:
        raise RunFolderError(
            f"{folder} holds imported results, to which no samples can be added; choose another folder with -o"
        )
    if "executor" in machines:
        machines = {"executor_args": {}, **machines}
    if "device" in machines:
        check_kinds(machines["device"], earlier)
    return parse_spec({**earlier["spec"], **machines}, f"{folder}/run.json" + " and options" * bool(machines))


def _going_on(folder: Path, earlier: dict[str, Any], spec: RunSpec) -> dict[str, Any] | None:
    """The run that `spec` goes on with; None where the folder's own is another, and ended before its first sample."""
    before, now = identity(_earlier_spec(folder, earlier).as_data()), identity(spec.as_data())
    differing = sorted(key for key in now if before.get(key) != now[key])
    if differing and not any((folder / "samples").rglob("part-*")):
        return None
    if differing:
        raise RunFolderError(
            f"{folder} holds a run with another {', '.join(differing)}; choose another folder with -o, "
            f"or `rlvr-harness resume {folder}` to complete that run"
        )
    return earlier


@contextmanager
def _resume_hint(folder: Path) -> Iterator[None]:
    """One line for who stops a run: how to go on, once all that is finished is stored."""
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        went_on = (folder / "run.json").is_file()
        how = f"nothing finished is lost: rlvr-harness resume {shlex.quote(str(folder))}"
        print("stopped;", how if went_on else "nothing was sampled yet", file=sys.stderr)
        raise


def _run(spec: RunSpec, folder: Path, earlier: Mapping[str, Any] | None, way: Way) -> Finished:
    with _resume_hint(folder):
        return _run_through(spec, folder, earlier, way)


def _run_through(spec: RunSpec, folder: Path, earlier: Mapping[str, Any] | None, way: Way) -> Finished:
    registry = load_plugins(spec.without)
    prepared = prepare(spec, registry, earlier)
    if not way.quiet:
        print(*_plan_text(prepared), sep="\n", file=sys.stderr, flush=True)
    results = run_stages(prepared, folder, earlier, way)
    write_reports([results], folder, plugin_sections(registry, [results]))
    return Finished(folder, results)


def rebuild_report(
    folders: Sequence[Path],
    target: Path | None = None,
    without: Sequence[str] = (),
    further: Sequence[ReportSection] = (),
) -> Path:
    """Writes report.html, report.md and figures anew; several folders go side by side into one report."""
    registry, broken = load_working(without)
    for one in broken:
        print(f"warning: {one.fault}", file=sys.stderr)
    results = [read_results(folder) for folder in folders]
    where = target or folders[0]
    write_reports(results, where, plugin_sections(registry, results, further))
    return where / "report.html"


def demo(k: int, limit: int | None, output_path: Path, threads: int | None, quiet: bool) -> tuple[list[Finished], Path]:
    """Runs the embedded comparison at both temperatures, and one report of the two."""
    finished = []
    for name, law in DEMO_LAWS.items():
        options = {"k": k, "limit": limit, "threads": threads, "gen_kwargs": law, "output_path": output_path / name}
        spec = parse_spec({**DEMO_MODELS, **options}, "demo")
        finished.append(run(spec, quiet))
    return finished, rebuild_report([one.folder for one in finished], output_path)


def import_request(task: str | None, files: Mapping[str, Any]) -> ImportRequest:
    """The files of an import by role; `files` holds model, base (or None) and also (NAME=FILE items)."""
    also = _named("--also", files["also"])
    if taken := sorted({"base", "model"} & set(also)):
        raise UsageError(f"--also {taken[0]}=...: '{taken[0]}' is the name of --{taken[0]}; choose another")
    by_role = {"base": files["base"], "model": files["model"], **{name: Path(path) for name, path in also.items()}}
    return ImportRequest(task or "", {role: path for role, path in by_role.items() if path is not None})


def _named(option: str, items: Sequence[str]) -> dict[str, str]:
    try:
        named: dict[str, str] = parse_named(list(items)) or {}
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    return named


def import_results(
    form: str, request: ImportRequest, folder: Path, how: ImportChoice, verifier: str | None = None
) -> Finished:
    """Foreign results as a run folder with results.json and a report; `verifier` judges foreign texts anew."""
    if (folder / "run.json").is_file():
        raise RunFolderError(f"{folder} already holds a run; choose another folder with -o")
    registry = load_plugins()
    importer = find_importer(registry, form, request.files)
    if isinstance(importer, SampleImporter):
        judge: Verifier | None = registry.get("verifier", verifier) if verifier else None
        confined = confine(judge, registry, SandboxChoice()) if judge else None
        how = replace(how, verifier=confined.verifier if confined else judge, workers=provenance.free_cores())
        results = import_samples(importer, request, folder, how)
    else:
        results = _import_counts(importer, request, folder, how, verifier)
    write_reports([results], folder, plugin_sections(registry, [results]))
    return Finished(folder, results)


def _import_counts(
    importer: Importer, request: ImportRequest, folder: Path, how: ImportChoice, verifier: str | None
) -> Results:
    if not request.task:
        raise UsageError("counts do not name their task; name it with --task")
    if verifier is not None:
        raise UsageError(f"format '{importer.name}' has no texts for --verifier to judge")
    counts: dict[str, Counts] = dict(importer.read(request))
    results = results_of_counts(request, counts, how.k)
    with RunStore(folder) as store:
        store.write_run({"imported": {role: str(path) for role, path in request.files.items()}, "task": request.task})
        store.write_json("results.json", results)
    return results
