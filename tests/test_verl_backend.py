"""verl: every override is in the real 0.9.1's configuration, and shards are no checkpoints before they are merged."""

import itertools
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rlvr_harness import Checkpoint, TrainingBackend, TrainingData, TrainingSpec, UsageError
from rlvr_verl.backend import WHEELS, Verl
from rlvr_verl.checking import check_overrides
from rlvr_verl.settings import ALGORITHMS, as_words, settings

STUBS = tuple(name for name in WHEELS if name not in ("verl", "rlvr_harness"))
GPU_MIB = 81920


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import training_fakes

    return training_fakes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The installed verl, from its wheel."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        import training_fakes
    finally:
        sys.path.pop(0)
    return training_fakes.unpacked("verl", tmp_path_factory.mktemp("site"))


@pytest.fixture
def python(fakes, site, tmp_path):
    return fakes.interpreter(tmp_path / "environment", site, STUBS, (GPU_MIB,) * 8)


@pytest.fixture
def given(tmp_path):
    """given(rows=, images=, **spec) -> spec, data and reward file of a run below tmp_path."""

    def make(rows=6, images=0, is_chat=False, **changes):
        folder = tmp_path / "run"
        (folder / "data").mkdir(parents=True, exist_ok=True)
        pictures = {"images": ["p.png"] * images} if images else {}
        chat = [{"role": "user", "content": "q"}]
        lines = [
            json.dumps({"input": chat if is_chat else f"q{n}", "label": f'{{"task": "t{n}"}}', **pictures})
            for n in range(rows)
        ]
        (folder / "data" / "train.jsonl").write_text("\n".join(lines))
        (folder / "reward.py").write_text("def compute_score(data_source, solution_str, ground_truth): ...\n")
        fields = {"steps": 3, "prompts_per_step": 4, "samples_per_prompt": 2, "algorithm": "grpo", **changes}
        spec = TrainingSpec(base="a/b", output=folder, **fields)
        return spec, TrainingData(folder / "data" / "train.jsonl", rows, "0", is_chat), folder / "reward.py"

    return make


def words_of(spec, is_chat=True):
    return as_words(settings(spec, 8, {"reward": Path("/r/a=b, c.py"), "data": Path("/r/d.parquet")}, is_chat))


def value(words, name):
    return next(word.partition("=")[2] for word in words if word.partition("=")[0] == name)


def test_it_is_a_training_backend():
    assert isinstance(Verl(), TrainingBackend)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_override_is_in_the_configuration_of_0_9_1(python, algorithm):
    words = []
    kls = (0.0,) if algorithm == "dapo" else (0.0, 1e-3)
    for nodes, kl, rank, is_chat in itertools.product((1, 4), kls, (0, 16), (False, True)):
        spec = TrainingSpec("a/b", algorithm, Path("/r"), kl=kl, lora_rank=rank, nodes=nodes)
        words += [word for word in words_of(spec, is_chat) if word not in words]
    checked = check_overrides(python, words)
    assert (checked.version, checked.faults) == ("0.9.1", ())


def test_a_wrong_name_and_a_needless_plus_are_refused(python):
    words = ["trainer.seed=3", "trainer.save_frequency=3", "+trainer.save_freq=2", "++trainer.new=1", "data.seed=1"]
    assert check_overrides(python, words).faults == (
        "verl 0.9.1 has no option trainer.seed; did you mean actor_rollout_ref.actor.fsdp_config.seed, "
        "actor_rollout_ref.ref.fsdp_config.seed?",
        "verl 0.9.1 has no option trainer.save_frequency; did you mean trainer.save_freq?",
        "verl 0.9.1 refuses the command: trainer.save_freq is there already; write it without +",
    )


def test_each_option_misspelt_alone_is_refused_by_its_name(python):
    words = [word for word in words_of(TrainingSpec("a/b", "ppo", Path("/r"), kl=0.1, lora_rank=8)) if word[0] != "+"]
    wrong = [f"{word.partition('=')[0]}x={word.partition('=')[2]}" for word in words]
    faults = check_overrides(python, wrong).faults
    assert [fault.partition(" option ")[2].partition(";")[0] for fault in faults] == [
        word.partition("=")[0] for word in wrong
    ]


def test_what_we_add_is_read_by_the_reward_manager(site):
    source = (site / "verl" / "experimental" / "reward_loop" / "reward_manager" / "dapo.py").read_text()
    added = [word for word in words_of(TrainingSpec("a/b", "dapo", Path("/r"))) if word[0] == "+"]
    assert len(added) == 5
    for word in added:
        for part in word.lstrip("+").partition("=")[0].split(".")[1:]:
            assert part in source


def test_the_estimators_are_verls_own(site):
    source = (site / "verl" / "trainer" / "ppo" / "core_algos.py").read_text()
    for algorithm in ALGORITHMS:
        name = value(words_of(TrainingSpec("a/b", algorithm, Path("/r"))), "algorithm.adv_estimator")
        assert f' = "{name}"' in source


def test_kl_is_a_loss_for_grpo_and_in_the_reward_for_others():
    grpo = words_of(TrainingSpec("a/b", "grpo", Path("/r"), kl=0.5))
    assert value(grpo, "actor_rollout_ref.actor.kl_loss_coef") == "0.5"
    ppo = words_of(TrainingSpec("a/b", "ppo", Path("/r"), kl=0.5))
    assert value(ppo, "algorithm.kl_ctrl.kl_coef") == "0.5"
    assert value(words_of(TrainingSpec("a/b", "ppo", Path("/r"))), "algorithm.use_kl_in_reward") == "False"


def test_values_are_quoted_where_hydra_would_read_them_otherwise():
    words = words_of(TrainingSpec("a/b", "grpo", Path("/r")))
    assert value(words, "reward.custom_reward_function.path") == '"/r/a=b, c.py"'
    assert value(words, "trainer.logger") == "[console]"
    assert value(words, "data.train_files") == "/r/d.parquet"
    quoted = as_words({"a": 'x "y" \\', "b": None, "c": True, "d": "\\"})
    assert quoted == ['a="x \\"y\\" \\\\"', "b=null", "c=True", 'd="\\\\"']


def test_hydra_reads_the_values_that_were_meant(site):
    hydra = pytest.importorskip("hydra", reason="hydra-core is not installed")
    with hydra.initialize_config_dir(str(site / "verl" / "trainer" / "config"), version_base=None):
        config = hydra.compose("ppo_trainer", overrides=words_of(TrainingSpec("a/b", "dapo", Path("/r")), False))
    assert config.reward.custom_reward_function.path == "/r/a=b, c.py"
    assert config.actor_rollout_ref.model.custom_chat_template.startswith("{% for message in messages %}")
    assert list(config.actor_rollout_ref.actor.checkpoint.save_contents) == ["hf_model"]


def test_a_plan_on_a_fit_machine_lacks_nothing_and_writes_verls_columns(given, python):
    import pyarrow.parquet as pq

    spec, data, reward = given(python=python)
    plan = Verl().plan(spec, data, reward)
    assert plan.missing == ()
    assert plan.command[:3] == (str(python), "-m", "verl.trainer.main_ppo")
    assert value(plan.command, "trainer.n_gpus_per_node") == "8"
    rows = pq.read_table(value(plan.command, "data.train_files")).to_pylist()
    assert rows[2] == {
        "data_source": "t2",
        "prompt": [{"role": "user", "content": "q2"}],
        "ability": "reasoning",
        "reward_model": {"style": "rule", "ground_truth": '{"task": "t2"}'},
        "extra_info": {"index": 2},
    }
    assert len(rows) == 6
    assert Path(plan.environment["RLVR_HARNESS_REWARD_COUNTS"]).is_dir()


def test_prompts_that_are_text_go_to_the_model_as_they_are(given, python):
    import jinja2

    spec, data, reward = given(python=python)
    template = value(Verl().plan(spec, data, reward).command, "actor_rollout_ref.model.custom_chat_template")
    messages = [{"role": "user", "content": "Q: 1+1?\n"}]
    assert jinja2.Template(template[1:-1], keep_trailing_newline=True).render(messages=messages) == "Q: 1+1?\n"
    spec, data, reward = given(python=python, is_chat=True)
    assert not any("custom_chat_template" in word for word in Verl().plan(spec, data, reward).command)


def test_several_nodes_are_a_job_and_pictures_are_kept(given, python):
    import pyarrow.parquet as pq

    spec, data, reward = given(python=python, nodes=2, gpus=4, images=1, is_chat=True)
    plan = Verl().plan(spec, data, reward)
    assert plan.missing == ()
    assert plan.command[1:5] == ("-m", "ray.scripts.scripts", "job", "submit")
    assert value(plan.command, "trainer.nnodes") == "2"
    assert pq.read_table(value(plan.command, "data.train_files")).to_pylist()[0]["images"] == ["p.png"]


def test_what_is_wrong_is_told_before_anything_starts(fakes, given, site, tmp_path):
    shutil.copytree(site, tmp_path / "newer")
    (record,) = (tmp_path / "newer").glob("verl-*.dist-info/METADATA")
    record.write_text(record.read_text().replace("Version: 0.9.1", "Version: 0.10.0"))
    fakes.safetensors(tmp_path / "base" / "model.safetensors", {"w": [10_000_000]})
    python = fakes.interpreter(tmp_path / "environment", tmp_path / "newer", ("ray", "torch"), (128,))
    spec, data, reward = given(python=python, gpus=2, options={"data.max_length": 3})
    reward.write_text("raise RuntimeError('no verifier')\n")
    # 16 bytes x 10 million parameters on 2 GPUs are 80 MB each, of 128 MiB; with a critic twice that.
    told = Verl().plan(replace(spec, algorithm="ppo", base=str(tmp_path / "base")), data, reward).missing
    for part in (
        "vllm is not installed",
        "2 GPUs are asked for and 1 are seen",
        "verl 0.10.0 is installed",
        "verl 0.10.0 has no option data.max_length",
        "RuntimeError: no verifier",
        "need about 0.1 GiB on each of 2 GPUs",
    ):
        assert any(part in line for line in told), part


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"algorithm": "gspo"}, "no algorithm 'gspo'"),
        ({"samples_per_prompt": 1}, "compares samples of one prompt"),
        ({"algorithm": "dapo", "kl": 0.1}, "no KL term"),
        ({"prompts_per_step": 8}, "6 problems are fewer than the 8 of a step"),
        ({"prompts_per_step": 3, "gpus": 4}, "do not divide among 4 GPUs"),
        ({"nodes": 0}, "give 1 or more nodes"),
        ({"algorithm": "ppo", "images": 1}, "critic that sees pictures"),
    ],
)
def test_what_verl_cannot_do_is_a_usage_error(fakes, tmp_path, given, changes, fault):
    python = fakes.interpreter(tmp_path / "environment", tmp_path, STUBS)
    spec, data, reward = given(python=python, **changes)
    with pytest.raises(UsageError, match=fault):
        Verl().plan(spec, data, reward)


def test_checkpoints_are_merged_folders_alone(fakes, tmp_path):
    def actor(step):
        return tmp_path / "checkpoints" / f"global_step_{step}" / "actor"

    fakes.checkpoint(actor(100) / "huggingface")
    fakes.checkpoint(actor(20) / "huggingface")
    fakes.checkpoint(actor(30) / "huggingface")
    (actor(30) / "huggingface" / "model.safetensors").unlink()
    fakes.checkpoint(actor(40) / "merged")
    fakes.checkpoint(actor(50) / "merged")
    fakes.adapter(actor(50) / "merged" / "lora_adapter", tokenizer=False)
    fakes.checkpoint(actor(60) / "huggingface", short_by=1)
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("100")
    assert Verl().checkpoints(tmp_path) == [
        Checkpoint(20, actor(20) / "huggingface"),
        Checkpoint(40, actor(40) / "merged"),
        Checkpoint(50, actor(50) / "merged" / "lora_adapter", is_adapter=True),
        Checkpoint(100, actor(100) / "huggingface"),
    ]
    assert Verl().checkpoints(tmp_path / "nothing") == []


def test_adapters_come_with_the_command_that_merges_them(given, python, site):
    spec, data, reward = given(python=python, lora_rank=8)
    (note,) = [note for note in Verl().plan(spec, data, reward).notes if "shards" in note]
    assert f"{python} -m verl.model_merger merge --backend fsdp --local_dir" in note
    assert (site / "verl" / "model_merger" / "__main__.py").is_file()


def test_progress_is_read_from_the_console_logger(site):
    line = (
        "(TaskRunnerV1 pid=7) step:12 - actor/entropy:0.25 - critic/score/mean:0.5 - actor/lr:1e-06 - "
        "critic/values/mean:nan - response_length/mean:np.float64(512.0) - training/epoch:0 - timing_s/step:30.5"
    )
    found = Verl().progress(line)
    assert found.step == 12
    assert found.numbers == {
        **{"entropy": 0.25, "reward": 0.5, "actor/lr": 1e-6, "response_length": 512.0},
        **{"training/epoch": 0.0, "step_s": 30.5},
    }
    assert Verl().progress("Training Progress:  3%|3  | 4/128") is None
    assert Verl().progress("global_step:3 - a:1") is None
    source = (site / "verl" / "utils" / "logger" / "aggregate_logger.py").read_text()
    assert 'output = [f"step:{step}"]' in source
