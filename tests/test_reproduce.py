"""The recipes of docs/reproduce: configs, command lines, costs and published numbers hold together."""

import dataclasses
import importlib.util
import json
import re
import shlex
import sys
from fnmatch import fnmatchcase
from itertools import groupby, pairwise
from pathlib import Path

import click
import pytest
import yaml

from rlvr_harness import ModelRequest, TaskError, TrainingSpec, UsageError, app
from rlvr_harness.checkpoint_folders import find_checkpoints
from rlvr_harness.cli import cli as commands
from rlvr_harness.lm_eval_bridge import YamlTask
from rlvr_harness.metrics.coverage import mcnemar_p
from rlvr_harness.metrics.support import support
from rlvr_harness.options import CONTEXT, given_options
from rlvr_harness.preparing import find_task
from rlvr_harness.presets import PRESETS, tasks_of
from rlvr_harness.profiles import PROFILES
from rlvr_harness.registry import load_plugins
from rlvr_harness.report.published import PublishedSection, published_table, read_published
from rlvr_harness.requests import PromptRequest
from rlvr_harness.run_spec import RunSpec, parse_spec, read_spec_file
from rlvr_harness.training import find_backend
from rlvr_harness.training_tasks import trainable
from rlvr_openai.settings import read_settings
from rlvr_verl.settings import check_spec
from rlvr_vllm.devices import groups_of
from rlvr_vllm.options import engine_options
from tests import report_cases
from tests.test_hf_pictures import seeing  # noqa: F401  (a fixture)

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reproduce"
DATA = ROOT.parent / "shared" / "data"
PUBLISHED = FOLDER / "published.yaml"
CONFIGS = sorted(path.stem for path in (FOLDER / "configs").glob("*.yaml"))
VLLM_OWN = {"dtype", "max_model_len", "tensor_parallel_size", "gpu_memory_utilization"}
HIDDEN_TESTS = "livecodebench"
"""Its tests are on the Hub alone; the local copies hold statements."""
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data in ../shared/data")


def _load_pages():
    description = importlib.util.spec_from_file_location("reproduce_pages", FOLDER / "pages.py")
    module = importlib.util.module_from_spec(description)
    sys.modules[description.name] = module
    description.loader.exec_module(module)
    return module


PAGES = _load_pages()
TEXTS = {name: (FOLDER / name).read_text(encoding="utf-8") for name in PAGES.PAGES}
COMMANDS = [
    (name, shlex.split(line))
    for name, text in TEXTS.items()
    for block in PAGES.blocks(text)
    for line in PAGES.commands(block)
]


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


# Configs


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_a_spec_whose_names_all_exist(name, registry):
    spec = PAGES.spec_of(name)
    assert spec.prompt in PROFILES
    assert spec.preset is None or spec.preset in PRESETS
    sampler = registry.get("sampler", spec.sampler)
    assert sampler.name == spec.sampler
    for task, n in tasks_of(spec).items():
        if task.startswith("reasoning_gym:"):
            pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")
        found = find_task(registry, task)
        assert found.name == task and (n is None or n <= 1024)
        if PROFILES[spec.prompt].before is not None and isinstance(found, YamlTask):
            assert found.file.question is not None, "a task takes a prompt profile only around a bare question"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_engine_takes_the_arguments_of_a_config(name):
    spec = PAGES.spec_of(name)
    request = ModelRequest("model", spec.model, args=spec.args_for("model"))
    if spec.sampler == "openai":
        assert read_settings(request).root == "https://api.example.org/v1"
        return
    assert set(spec.model_args) <= VLLM_OWN
    assert engine_options(request).arguments["max_model_len"] == spec.model_args["max_model_len"]
    parallel = spec.model_args["tensor_parallel_size"]
    listed = ",".join(map(str, range(2 * parallel)))
    assert len(groups_of(ModelRequest("model", spec.model, args=spec.model_args, device=listed))) == 2


@pytest.mark.parametrize("name", CONFIGS)
def test_the_context_of_a_config_holds_its_completions_and_a_prompt(name):
    spec = PAGES.spec_of(name)
    context = spec.model_args.get("max_model_len") or spec.model_args["max_length"]
    # None: the budget is lowered to the context, as models of 4,096 tokens need it.
    budget = spec.gen_kwargs.get("max_gen_toks")
    assert (budget is None and context == 4096) or budget + 2048 <= context


def test_every_config_has_a_command_and_a_cost():
    used = {words[words.index("--config") + 1] for _, words in COMMANDS if "--config" in words}
    assert {Path(path).stem for path in used} == set(CONFIGS) == set(PAGES.ASSUMED)
    told = {found for text in TEXTS.values() for found in re.findall(r"<!-- cost (\S+)", text)}
    assert told == {*CONFIGS, "train"}


# Command lines


def _parsed(words):
    assert words[0] == "rlvr-harness"
    command = commands.commands[words[1].replace("-", "_")]
    context = click.Context(
        commands, info_name="rlvr-harness", **{"token_normalize_func": CONTEXT["token_normalize_func"]}
    )
    return command.make_context(words[1], list(words[2:]), parent=context).params


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda part: part if isinstance(part, str) else part[1])
def test_a_command_line_parses_and_names_files_that_exist(page, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    given = _parsed(words)
    for option in ("config", "published"):
        assert given.get(option) is None or Path(given[option]).is_file()
    if words[1] in ("run", "plan", "sweep"):
        flags = {name: value for name, value in given.items() if name in RunSpec.model_fields or name == "config"}
        options = given_options(flags)
        if words[1] == "sweep":
            assert "model" not in options
        parse_spec({"model": options["base"], **options}, "test")


def test_a_flag_that_does_not_exist_is_found():
    with pytest.raises(click.NoSuchOption):
        _parsed(["rlvr-harness", "run", "--confg", "x.yaml"])


def test_every_folder_that_a_command_reads_is_written_by_one_of_the_commands():
    written = [PAGES.spec_of(name).output_path for name in CONFIGS if PAGES.spec_of(name).output_path]
    written += [Path(words[words.index("-o") + 1]) for _, words in COMMANDS if "-o" in words]
    read = [
        Path(word)
        for _, words in COMMANDS
        for before, word in pairwise(words)
        if word.startswith("runs/") and before != "-o"
    ]
    assert len(read) > 10
    for folder in read:
        assert any(folder == one or one in folder.parents for one in written), folder


def _trainings():
    return [_parsed(words) for _, words in COMMANDS if words[1] == "train"]


def test_trainings_ask_for_what_the_backend_and_the_tasks_have(registry):
    assert {one["algorithm"] for one in _trainings()} == {"ppo", "grpo", "reinforce++", "rloo", "remax", "dapo"}
    for one in _trainings():
        assert one["algorithm"] in find_backend(registry, one["backend"]).algorithms
        assert trainable(find_task(registry, one["tasks"])) is not None
        for task in one["eval_tasks"].split(","):
            assert find_task(registry, task).name == task
        assert (one["temperature"], one["max_gen_toks"], one["learning_rate"]) == (1.0, 8192, 1e-6)
        asked = {field.name: one[field.name] for field in dataclasses.fields(TrainingSpec) if field.name in one}
        spec = TrainingSpec(**{**asked, "output": one["output_path"], "max_prompt_toks": 1024, "options": {}})
        check_spec(spec, spec.gpus, PAGES.PROBLEMS[one["tasks"]], pictures=False)


def test_rollouts_and_kl_differ_from_the_first_training_in_one_thing_each():
    by_folder = {one["output_path"].name: one for one in _trainings()}
    first = {**by_folder["grpo-n8"], "steps": 150, "output_path": None}
    changed = {
        name: {key: one[key] for key in one if one[key] != first[key] and key != "output_path"}
        for name, one in by_folder.items()
    }
    assert changed["grpo-n32"] == {"samples_per_prompt": 32}
    assert changed["grpo-kl"] == {"kl": 0.001}
    assert changed["ppo-n8"] == {"algorithm": "ppo"}


# Plans


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "yue-vision-7b"])
def test_a_run_can_be_planned_with_stand_ins_for_its_models(name, stand_in):
    if "reasoning-gym" in name:
        pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")
    written = PAGES.spec_of(name)
    tasks = {task: n for task, n in tasks_of(written).items() if not task.startswith(HIDDEN_TESTS)}
    if not tasks:
        pytest.skip("LiveCodeBench's tests are on the Hub alone")
    own = {"model": stand_in, "base": stand_in, "also": dict.fromkeys(written.also, stand_in)}
    listed = [task if n is None else f"{task}:{n}" for task, n in tasks.items()]
    rest = {"preset": None, "tasks": listed, "sampler": "hf", "model_args": {}, "data_dir": str(DATA), "limit": 2}
    lines = app.plan(parse_spec({**written.as_data(), **own, **rest}, name))
    for task, n in tasks.items():
        (samples,) = [line for line in lines if line.startswith(f"{task}: 2 problems x {len(written.models)} models")]
        assert f"up to {n or written.samples_per_problem:,} samples" in samples


@needs_data
@pytest.mark.slow
def test_the_run_on_pictures_can_be_planned_with_a_stand_in(request):
    folder = request.getfixturevalue("seeing")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 65536
    (folder / "config.json").write_text(json.dumps(config))
    own = {"model": str(folder), "base": str(folder), "preset": None, "tasks": ["mathvision:128"], "limit": 2}
    rest = {"sampler": "hf", "model_args": {}, "data_dir": str(DATA)}  # of mathvista's pictures there is no local copy
    (line, *_) = app.plan(parse_spec({**PAGES.spec_of("yue-vision-7b").as_data(), **own, **rest}, "yue-vision-7b"))
    assert line.startswith("mathvision: 2 problems x 2 models x up to 128 samples")


@pytest.fixture(scope="module")
def stand_in(make_checkpoint):
    """A checkpoint of long context, with a chat template, in place of any id of the Hub."""
    folder = make_checkpoint(0, max_position_embeddings=65536)
    path = folder / "tokenizer_config.json"
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": template}))
    return str(folder)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("task", [task for task in PAGES.PROBLEMS if not task.startswith(HIDDEN_TESTS)])
def test_the_costs_count_the_problems_that_a_task_has(task, registry):
    if task in ("humanevalplus", "mbppplus"):
        lines = (ROOT / "tasks" / task / "README.md").read_text().splitlines()
        (told,) = [line for line in lines if line.startswith("| Problems |")]
        assert re.search(r"[\d,]+", told)[0] == str(PAGES.PROBLEMS[task])
        return
    try:
        loaded = find_task(registry, task).load(PromptRequest(data_dir=DATA))
    except TaskError as error:
        pytest.skip(f"no whole local copy: {error}")
    assert len(loaded.problems) == PAGES.PROBLEMS[task]


# Costs and tables in the pages


@pytest.mark.parametrize("name", list(TEXTS))
def test_costs_and_published_numbers_in_a_page_are_current(name):
    assert PAGES.rendered(TEXTS[name]) == TEXTS[name], "run python docs/reproduce/pages.py"


def test_a_wrong_cost_or_number_in_a_page_is_noticed():
    text = TEXTS["yue.md"]
    assert PAGES.rendered(text.replace("Cost: 2 models", "Cost: 9 models", 1)) == text
    assert PAGES.rendered(text.replace("| 0.661 |", "| 0.700 |", 1)) == text


def test_the_cost_of_a_run_is_that_of_its_problems_plans_and_tokens():
    # 30 problems, 2 models, n = 1,024: at most 61,440 samples of 1,200 tokens; 73,728,000 / 5,000 / 3,600 = 4.1 hours.
    # Of a uniform prior 8 / (m + 1) of the problems go on from a stage of m: 16 + 16 * 8/17 + 32 * 8/33 + 64 * 8/65
    # + 128 * 8/129 + 256 * 8/257 + 512 * 8/513 = 63.08; times 60: 3,785 samples.
    assert PAGES.run_cost("yue-oat-zero-7b") == (
        "Cost: 2 models; about 3.8 k samples expected, 61 k at most; 4.5 M tokens expected, 74 M at most; "
        "0.25 GPU-hours expected, 4.1 at most."
    )


def test_the_cost_of_a_training_is_that_of_its_rollouts():
    # 10 steps x 8 prompts x 4 samples = 320 rollouts of 1,000 tokens; 3 x 320,000 / 5,000 / 3,600 = 0.0533 hours.
    block = "# note\nrlvr-harness train --steps 10 \\\n  --prompts_per_step 8 --samples_per_prompt 4 --kl 0\n"
    assert PAGES.train_cost(block, 1000, 7) == (
        "Cost: 1 training; 320 rollouts of 1,000 tokens, 320 k tokens; 0.053 GPU-hours."
    )


# Published numbers


def rows():
    return PAGES.published()["rows"]


def test_the_algorithms_gap_is_base_at_256_less_rl_at_1():
    found = [row["values"] for row in rows() if "comparison.delta_se.value" in row["values"]]
    assert len(found) == 24  # six algorithms and two later steps, on three benchmarks
    for values in found:
        gap = values["base.pass_at_k.256"] - values["model.pass_at_k.1"]
        assert values["comparison.delta_se.value"] == pytest.approx(gap, abs=1e-9)


def test_the_base_has_the_same_numbers_in_every_row_of_a_task():
    found = [row for row in rows() if "base.pass_at_k.1" in row["values"]]
    for _, group in groupby(sorted(found, key=lambda row: row["task"]), key=lambda row: row["task"]):
        pairs = {(row["values"]["base.pass_at_k.1"], row["values"]["base.pass_at_k.256"]) for row in group}
        assert len(pairs) == 1


def test_published_quadrants_are_all_problems_of_the_task():
    for row in rows():
        if row["where"] == "table 2":
            cells = [row["values"][f"comparison.coverage.{name}"] for name in _QUADRANTS]
            assert sum(cells) == PAGES.PROBLEMS[row["task"]]


_QUADRANTS = ("both", "model_only", "base_only", "neither")


@pytest.mark.parametrize(
    "place", [place for place, row in enumerate(rows()) if "comparison.support.srr" in row["values"]]
)
def test_published_support_follows_from_the_published_counts(place):
    values = rows()[place]["values"]
    both, model_only, base_only, _ = (values[f"comparison.coverage.{name}"] for name in _QUADRANTS)
    ours = support(both, model_only, base_only)
    for name in ("srr", "ndr", "sds", "nscr"):
        told = values[f"comparison.support.{name}"]
        digits = len(f"{told:g}".partition(".")[2])
        assert getattr(ours, name) == pytest.approx(told, abs=0.6 * 10**-digits if told else 1e-9), name
    if "comparison.coverage.mcnemar_p" in values:
        assert mcnemar_p(base_only, model_only) == pytest.approx(values["comparison.coverage.mcnemar_p"], abs=6e-5)


def test_the_lists_of_solvable_problems_are_the_quadrants_of_table_2():
    listed = PAGES.published()["solvable"]
    base, model = set(listed["base"]), set(listed["model"])
    assert (len(base & model), len(base - model), len(model - base)) == (19, 4, 0)
    assert base | model < set(range(30))


def test_a_sweep_names_checkpoints_as_the_published_rows_expect(tmp_path):
    folders = [tmp_path / one["output_path"] for one in _trainings() if one["output_path"].name.endswith("-n8")]
    for folder in folders:
        weights = folder / "checkpoints" / "global_step_150" / "actor" / "huggingface"
        weights.mkdir(parents=True)
        (weights / "model.safetensors").touch()
    expected = {f"{folder.name}-global_step_150" for folder in folders}
    assert {one.name for one in find_checkpoints(folders)} == expected


def test_each_training_of_the_pages_meets_its_own_published_row():
    labels = {
        "grpo": "GRPO",
        "ppo": "PPO",
        "remax": "ReMax",
        "rloo": "RLOO",
        "reinforcepp": "Reinforce++",
        "dapo": "DAPO",
    }
    for algorithm, label in labels.items():
        name = f"{algorithm}-n8-global_step_150"
        met = [row["label"] for row in rows() if fnmatchcase(name, row.get("model", ""))]
        assert met == [label] * 3
    for name in ("grpo-n32-global_step_150", "grpo-kl-global_step_150"):
        assert not [row for row in rows() if fnmatchcase(name, row.get("model", ""))]


# `report --published`

ROWS = """
schema: rlvr-harness/published/1
sources: {paper: "arXiv:1"}
rows:
  - source: paper
    where: table 1
    task: maths
    base: "org/b*"
    model: "*rlvr"
    values: {base.pass_at_k.1: 0.25, model.pass_at_k.16: 0.6, comparison.coverage.both: 3, model.pass_at_k.64: 0.9}
  - {task: maths, base: "*", model: "*", given: {comparison.delta_se.k: 256},
     values: {comparison.delta_se.value: 0.3, base.pass_at_k.1: 0.1}}
  - {task: maths, base: "*", model: other, values: {base.pass_at_k.1: 0.5}}
  - {label: unknown task, values: {base.pass_at_k.1: 0.5}}
"""


@pytest.fixture
def numbers(tmp_path):
    path = tmp_path / "numbers.yaml"
    path.write_text(ROWS)
    return path


def test_measured_and_published_stand_side_by_side(numbers):
    task = report_cases.results()["tasks"]["maths"]
    # The case measures base pass@1 = .2, RL pass@16 = .6, 5 problems solved by both, no pass@64, and its gap at K = 16.
    assert published_table(read_published(numbers), "maths", task).rows == [
        ["base pass@1", "0.2 [0.15, 0.25]", "0.25", "\N{MINUS SIGN}0.050", "arXiv:1, table 1"],
        ["RL model pass@16", "0.6 [0.55, 0.65]", "0.6", "0.000", "arXiv:1, table 1"],
        ["coverage both", "5", "3", "+2", "arXiv:1, table 1"],
        ["RL model pass@64", "not measured", "0.9", "\N{EN DASH}", "arXiv:1, table 1"],
        ["delta se", "not comparable: delta se k is 16, published with 256", "0.3", "\N{EN DASH}", ""],
        ["base pass@1", "0.2 [0.15, 0.25]", "0.1", "+0.100", ""],
    ]


def test_the_report_command_prints_the_table_and_puts_it_into_the_page(numbers, tmp_path, cli):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text(json.dumps(report_cases.results()))
    status, out, _ = cli("report", tmp_path / "run", "--published", numbers)
    assert status == 0
    assert "arXiv:1, table 1" in out and out.rstrip().endswith("report.html")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Beside published numbers" in page and "arXiv:1, table 1" in page


def test_damaged_results_are_told_before_any_table(numbers, cli, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text('{"tasks": {"maths": {"models": 3}}}')
    status, out, err = cli("report", tmp_path / "run", "--published", numbers)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "results.json is damaged: " in err and "`rlvr-harness resume" in err


def test_a_task_without_published_numbers_has_no_section(numbers):
    results = report_cases.results("run", "org/else")
    section = PublishedSection(read_published(numbers)[:1])
    assert section.render_html("maths", results) == ""


def test_markup_in_names_is_escaped(tmp_path):
    hostile = {"where": "<script>", "task": "maths", "base": "*", "model": "*", "values": {"base.pass_at_k.1": 0.5}}
    path = tmp_path / "numbers.yaml"
    path.write_text(yaml.safe_dump({"schema": "rlvr-harness/published/1", "rows": [hostile]}))
    page = PublishedSection.read(path).render_html("maths", report_cases.results())
    assert "<script>" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("- 1", "expected `schema: rlvr-harness/published/1`"),
        ("schema: other\nrows: []", "expected `schema: rlvr-harness/published/1`"),
        ("schema: rlvr-harness/published/1\nrows: [1]", "row 1 is not a mapping"),
        ("schema: rlvr-harness/published/1\nrows: [{task: 3}]", "row 1: 'task' is not text"),
        ("schema: rlvr-harness/published/1\nrows: [{values: {base.x: a}}]", "row 1: 'values': base.x is no number"),
        ("schema: rlvr-harness/published/1\nrows: [{values: {x: 1}}]", "'x' does not begin with base., model. or"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_malformed_file_is_told_in_one_line(tmp_path, content, told):
    path = tmp_path / "numbers.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=re.escape(told)) as caught:
        read_published(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_numbers_of_the_pages_can_be_read_by_the_report():
    known = read_published(PUBLISHED)
    assert len(known) == len([row for row in rows() if "model" in row]) == 26


def test_the_lines_that_list_solved_problems_run(tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```", TEXTS["yue.md"], re.DOTALL | re.MULTILINE)
    folder = tmp_path / "runs" / "yue-math-qwen2.5-7b"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(report_cases.results()))
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/reproduce/yue.md", "exec"), {})
    # Right samples of the case: base 1 2 3 4 5 6 0 0, model 0 8 8 8 16 16 2 0.
    assert capsys.readouterr().out.splitlines() == [
        "maths base ['p0', 'p1', 'p2', 'p3', 'p4', 'p5']",
        "maths model ['p1', 'p2', 'p3', 'p4', 'p5', 'p6']",
    ]


def test_configs_name_options_of_run_alone():
    for name in CONFIGS:
        assert set(read_spec_file(PAGES.config_path(name))) <= set(RunSpec.model_fields)
