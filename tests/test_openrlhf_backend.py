"""OpenRLHF: every command passes the parser of the real 0.11.2, and what would fail there is told before."""

import contextlib
import io
import itertools
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rlvr_harness import Checkpoint, TrainingBackend, TrainingData, TrainingSpec, UsageError
from rlvr_openrlhf import checking
from rlvr_openrlhf.backend import OpenRLHF
from rlvr_openrlhf.needs import WHEELS, training_bytes
from rlvr_openrlhf.settings import ALGORITHMS, Layout, as_words, settings

STUBS = tuple(name for name in WHEELS if name not in ("openrlhf", "rlvr_harness"))
GPU_MIB = 81920


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import training_fakes

    return training_fakes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The installed OpenRLHF, from its wheel."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        import training_fakes
    finally:
        sys.path.pop(0)
    return training_fakes.unpacked("openrlhf", tmp_path_factory.mktemp("site"))


@pytest.fixture
def python(fakes, site, tmp_path):
    """An interpreter with OpenRLHF, told of 8 GPUs with 80 GiB."""
    return fakes.interpreter(tmp_path / "environment", site, STUBS, (GPU_MIB,) * 8)


@pytest.fixture
def given(tmp_path):
    """given(rows=, images=, **spec) -> spec, data and reward file of a run below tmp_path."""

    def make(rows=6, images=0, is_chat=False, **changes):
        folder = tmp_path / "run"
        (folder / "data").mkdir(parents=True, exist_ok=True)
        pictures = {"images": ["p.png"] * images} if images else {}
        lines = [json.dumps({"input": f"q{n}", "label": f'{{"task": "t{n}"}}', **pictures}) for n in range(rows)]
        (folder / "data" / "train.jsonl").write_text("\n".join(lines))
        (folder / "reward.py").write_text("def reward_func(queries, prompts, labels): ...\n")
        fields = {"steps": 3, "prompts_per_step": 4, "samples_per_prompt": 2, **changes}
        spec = TrainingSpec(base="a/b", output=folder, **{"algorithm": "grpo", **fields})
        return spec, TrainingData(folder / "data" / "train.jsonl", rows, "0", is_chat), folder / "reward.py"

    return make


@pytest.fixture
def parse(site, monkeypatch):
    """parse(words) -> (faults, notes) of the check, in this process, so that hundreds take seconds."""
    monkeypatch.syspath_prepend(str(site))

    def run(words):
        monkeypatch.setattr(sys, "argv", ["-c", checking.PARSER_FILE, json.dumps(words)])
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
            exec(compile(checking._CHECK, "check", "exec"), {"__name__": "check"})
        found = json.loads(told.getvalue().partition("CHECK")[2])
        assert found["version"] == "0.11.2"
        return found["faults"], found["notes"]

    return run


def words_of(spec, layout, is_chat=True):
    files = {"reward": Path("/r/reward.py"), "data": Path("/r/data.jsonl")}
    return as_words(settings(spec, layout, files, is_chat))


def option(words, name):
    return words[words.index(f"--{name}") + 1]


def test_it_is_a_training_backend():
    assert isinstance(OpenRLHF(), TrainingBackend)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_command_passes_the_parser_of_0_11_2_without_a_warning(parse, algorithm):
    kls = (0.0,) if algorithm == "dapo" else (0.0, 1e-3)
    pictures = (0,) if algorithm == "ppo" else (0, 2)
    tried = 0
    for nodes, kl, rank, seen, parallel in itertools.product((1, 4), kls, (0, 16), pictures, (1, 2)):
        spec = TrainingSpec("a/b", algorithm, Path("/r"), kl=kl, lora_rank=rank, nodes=nodes, clip_high=0.3)
        assert parse(words_of(spec, Layout(nodes, 8, parallel, seen))) == ([], [])
        tried += 1
    assert tried >= 16


def test_no_option_is_one_that_the_parser_does_not_have(parse):
    """Each option misspelt alone is refused by its name: the parser takes no abbreviation and no near miss."""
    words = words_of(TrainingSpec("a/b", "grpo", Path("/r"), kl=1e-3, lora_rank=8), Layout(1, 8))
    for place, word in enumerate(words):
        if word.startswith("--"):
            faults, _ = parse([*words[:place], word[:-1], *words[place + 1 :]])
            assert faults[0][0] == word[:-1]


@pytest.mark.parametrize(
    ("old", "near"), [("--prompt_max_len", ""), ("--init_kl_coef", "--algo.kl.init_coef"), ("--pretrain", "")]
)
def test_names_of_older_versions_are_refused(parse, old, near):
    faults, _ = parse([*words_of(TrainingSpec("a/b", "grpo", Path("/r")), Layout(1, 8)), old, "1"])
    assert [fault[0] for fault in faults] == [old]
    assert not near or near in faults[0][1]


def test_openrlhfs_own_checks_are_heard(parse):
    spec = TrainingSpec("a/b", "grpo", Path("/r"), samples_per_prompt=1)
    assert parse(words_of(spec, Layout(1, 8)))[0] == [["", "group_norm requires n_samples_per_prompt > 1"]]


@pytest.mark.parametrize(
    ("algorithm", "wanted"),
    [
        ("ppo", {"algo.advantage.estimator": "gae", "critic.num_gpus_per_node": "8"}),
        ("grpo", {"algo.advantage.estimator": "group_norm", "algo.kl.estimator": "k3"}),
        ("dr_grpo", {"algo.advantage.estimator": "dr_grpo", "algo.kl.estimator": "k3"}),
        ("rloo", {"algo.advantage.estimator": "rloo"}),
        ("reinforce++", {"algo.advantage.estimator": "reinforce"}),
        ("reinforce++-baseline", {"algo.advantage.estimator": "reinforce_baseline", "algo.kl.estimator": "k2"}),
        ("gspo", {"actor.policy_loss_type": "gspo", "actor.eps_clip_low_high": "0.0003"}),
    ],
)
def test_an_algorithm_is_what_its_name_says(algorithm, wanted):
    words = words_of(TrainingSpec("a/b", algorithm, Path("/r"), kl=0.5), Layout(1, 8))
    assert {name: option(words, name) for name in wanted} == wanted
    assert option(words, "algo.kl.init_coef") == "0.5"
    assert ("--algo.kl.use_loss" in words) == ("algo.kl.estimator" in wanted or algorithm == "gspo")
    assert option(words, "ref.num_gpus_per_node") == "8"


def test_dapo_is_made_of_its_four_parts():
    words = words_of(TrainingSpec("a/b", "dapo", Path("/r"), max_gen_toks=8192), Layout(1, 8))
    place = words.index("--actor.eps_clip_low_high")
    assert words[place + 1 : place + 3] == ["0.2", "0.28"]
    assert "--algo.dynamic_filtering_enable" in words
    assert option(words, "reward.overlong_buffer_len") == "1638"
    assert option(words, "algo.kl.init_coef") == "0.0"
    assert "--ref.num_nodes" not in words


def test_one_step_is_one_batch_of_rollouts_on_all_gpus():
    spec = TrainingSpec("a/b", "grpo", Path("/r"), prompts_per_step=128, samples_per_prompt=8, nodes=4)
    words = words_of(spec, Layout(4, 8, 2))
    assert option(words, "rollout.batch_size") == "128"
    assert option(words, "train.batch_size") == "1024"
    assert option(words, "vllm.num_engines") == "16"
    assert option(words, "actor.num_nodes") == "4"
    assert option(words, "data.max_len") == str(1024 + 8192)


def test_an_option_of_the_user_takes_the_place_of_ours():
    options = {"ds.zero_stage": 2, "vllm.enable_sleep": False, "actor.adam.betas": [0.9, 0.99], "oversampling": 3}
    words = words_of(TrainingSpec("a/b", "grpo", Path("/r"), options=options), Layout(1, 8))
    assert option(words, "ds.zero_stage") == "2"
    assert "--vllm.enable_sleep" not in words
    assert words[words.index("--actor.adam.betas") :][:3] == ["--actor.adam.betas", "0.9", "0.99"]
    assert "--oversampling" not in words


def test_a_plan_on_a_fit_machine_lacks_nothing(given, python):
    spec, data, reward = given(python=python, kl=0.01, is_chat=True)
    plan = OpenRLHF().plan(spec, data, reward)
    assert plan.missing == ()
    assert plan.command[:3] == (str(python), "-m", "openrlhf.cli.train_ppo_ray")
    assert option(plan.command, "reward.remote_url") == str(reward.resolve())
    assert option(plan.command, "actor.num_gpus_per_node") == "8"
    assert "--data.apply_chat_template" in plan.command
    assert plan.folder == spec.output.resolve()
    assert plan.config["openrlhf"] == "0.11.2"
    assert Path(plan.environment["RLVR_HARNESS_REWARD_COUNTS"]).is_dir()


def test_the_data_holds_what_the_steps_draw_in_whole_passes(given, python):
    """3 steps x 4 prompts = 12 rows of 5 problems: two passes, and two of a third."""
    spec, data, reward = given(rows=5, python=python)
    plan = OpenRLHF().plan(spec, data, reward)
    rows = [json.loads(line) for line in Path(option(plan.command, "data.prompt_dataset")).read_text().splitlines()]
    drawn = [row["input"] for row in rows]
    assert len(drawn) == 12
    assert set(drawn[:5]) == set(drawn[5:10]) == {"q0", "q1", "q2", "q3", "q4"}
    assert drawn[:5] != drawn[5:10]
    assert rows[0]["label"] == f'{{"task": "t{drawn[0][1:]}"}}'


def test_dynamic_filtering_gets_more_prompts_and_a_note(given, python):
    spec, data, reward = given(python=python, algorithm="dapo", options={"oversampling": 1.5})
    plan = OpenRLHF().plan(spec, data, reward)
    assert len(Path(option(plan.command, "data.prompt_dataset")).read_text().splitlines()) == 18
    assert any("dynamic filtering" in note for note in plan.notes)


def test_pictures_in_the_data_turn_the_vision_options_on(given, python):
    spec, data, reward = given(python=python, images=2, is_chat=True)
    plan = OpenRLHF().plan(spec, data, reward)
    assert plan.missing == ()
    assert option(plan.command, "data.image_key") == "images"
    assert option(plan.command, "data.max_images_per_prompt") == "2"
    assert "--ds.packing_samples" not in plan.command
    with pytest.raises(UsageError, match="no critic on pictures"):
        OpenRLHF().plan(replace(spec, algorithm="ppo"), data, reward)


def test_several_nodes_are_a_job_of_a_ray_cluster(given, python):
    spec, data, reward = given(python=python, nodes=2, gpus=4, options={"ray_address": "http://head:8265"})
    plan = OpenRLHF().plan(spec, data, reward)
    assert plan.missing == ()
    assert plan.command[1:6] == ("-m", "ray.scripts.scripts", "job", "submit", "--address=http://head:8265")
    runtime = json.loads(
        next(word for word in plan.command if word.startswith("--runtime-env-json=")).partition("=")[2]
    )
    assert runtime["env_vars"]["RLVR_HARNESS_REWARD_COUNTS"] == str(spec.output.resolve() / "rewards")
    inner = plan.command[plan.command.index("--") + 1 :]
    assert inner[:3] == (str(python), "-m", "openrlhf.cli.train_ppo_ray")
    assert (option(inner, "actor.num_nodes"), option(inner, "vllm.num_engines")) == ("2", "8")


def test_an_unknown_option_of_the_user_is_missing_with_its_name_and_the_version(given, python):
    spec, data, reward = given(python=python, options={"rollout.max_tokens": 3, "ckpt.save_step": 2})
    assert OpenRLHF().plan(spec, data, reward).missing == (
        "OpenRLHF 0.11.2 has no option --rollout.max_tokens; did you mean --rollout.max_new_tokens, "
        "--rollout.max_tokens_per_gpu?",
        "OpenRLHF 0.11.2 has no option --ckpt.save_step; did you mean --ckpt.save_steps, --ckpt.save_hf?",
    )


def test_an_option_renamed_by_the_installed_version_is_missing(fakes, given, site, tmp_path):
    shutil.copytree(site, tmp_path / "renamed")
    file = tmp_path / "renamed" / "openrlhf" / "cli" / "train_ppo_ray.py"
    source = file.read_text()
    assert '"--rollout.batch_size"' in source
    file.write_text(source.replace('"--rollout.batch_size"', '"--rollout.prompts"'))
    python = fakes.interpreter(tmp_path / "environment", tmp_path / "renamed", STUBS, (GPU_MIB,) * 8)
    spec, data, reward = given(python=python)
    (missing,) = OpenRLHF().plan(spec, data, reward).missing
    assert missing.startswith("OpenRLHF 0.11.2 has no option --rollout.batch_size; did you mean ")


def test_what_the_machine_lacks_is_told(fakes, given, site, tmp_path, monkeypatch):
    python = fakes.interpreter(tmp_path / "environment", site, ("ray", "deepspeed", "torch"), (GPU_MIB,) * 2)
    monkeypatch.setenv("RAY_ADDRESS", "http://elsewhere:8265")
    spec, data, reward = given(python=python, gpus=8)
    reward.write_text("import a_package_that_is_not_there\n")
    told = "\n".join(OpenRLHF().plan(spec, data, reward).missing)
    for part in (
        "vllm is not installed",
        "flash_attn is not installed",
        "8 GPUs are asked for and 2 are seen",
        "RAY_ADDRESS is set",
        "No module named 'a_package_that_is_not_there'",
    ):
        assert part in told


def test_an_environment_without_openrlhf_or_of_another_version_is_told(fakes, given, site, tmp_path):
    bare = fakes.interpreter(tmp_path / "bare", tmp_path, STUBS, (GPU_MIB,) * 8)
    spec, data, reward = given(python=bare)
    (missing,) = OpenRLHF().plan(spec, data, reward).missing
    assert missing.startswith("openrlhf is not installed for")
    shutil.copytree(site, tmp_path / "newer")
    (record,) = (tmp_path / "newer").glob("openrlhf-*.dist-info/METADATA")
    record.write_text(record.read_text().replace("Version: 0.11.2", "Version: 0.12.0"))
    newer = fakes.interpreter(tmp_path / "environment", tmp_path / "newer", STUBS, (GPU_MIB,) * 8)
    (missing,) = OpenRLHF().plan(replace(spec, python=newer), data, reward).missing
    assert missing.startswith("OpenRLHF 0.12.0 is installed; its options change between versions")


def test_training_memory_is_counted_per_gpu():
    """A billion parameters on 4 GPUs, ZeRO 3: 16 bytes / 4, and 2 / 4 of the reference; below it, weights whole."""
    spec, three, two = TrainingSpec("a", "grpo", Path("r")), {"ds.zero_stage": 3}, {"ds.zero_stage": 2}
    assert training_bytes(spec, 4, 10**9, three) == 4e9
    assert training_bytes(replace(spec, kl=0.1), 4, 10**9, three) == 4.5e9
    assert training_bytes(spec, 4, 10**9, two) == 2e9 + 3.5e9
    assert training_bytes(replace(spec, lora_rank=8), 4, 10**9, two) == 2e9
    assert training_bytes(spec, 4, 10**9, {**three, "ds.adam_offload": True}) == 1e9
    assert training_bytes(replace(spec, algorithm="ppo"), 4, 10**9, three) == 8e9


def test_a_model_too_large_for_the_gpus_is_refused(fakes, given, site, tmp_path):
    """10 million parameters: 160 MB of training state on one GPU of 128 MiB, 20 MB of weights for vLLM of 77."""
    python = fakes.interpreter(tmp_path / "environment", site, STUBS, (128,))
    fakes.safetensors(tmp_path / "base" / "model.safetensors", {"w": [10_000_000]})
    spec, data, reward = given(python=python)
    (missing,) = OpenRLHF().plan(replace(spec, base=str(tmp_path / "base")), data, reward).missing
    assert "need about 0.1 GiB on each of 1 GPUs" in missing
    small = replace(spec, base=str(tmp_path / "base"), options={"ds.adam_offload": True})
    assert OpenRLHF().plan(small, data, reward).missing == ()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"algorithm": "remax"}, "no algorithm 'remax'"),
        ({"samples_per_prompt": 1}, "compares samples of one prompt"),
        ({"algorithm": "dapo", "kl": 0.1}, "no KL term"),
        ({"algorithm": "dapo", "save_steps": 0}, "give save steps"),
        ({"prompts_per_step": 3, "gpus": 4}, "3 prompts x 2 samples do not divide among 4 GPUs"),
        ({"gpus": 8, "options": {"vllm.tensor_parallel_size": 3}}, "does not divide the 8 GPUs"),
        ({"options": {"vllm.tensor_parallel_size": "two"}}, "give a whole number"),
        ({"gpus": 8, "options": {"vllm.num_engines": 4}}, "4 vLLM engines with 1 GPUs each do not fill 8 GPUs"),
        ({"nodes": 0}, "give 1 node or more"),
        ({"gpus": 8, "algorithm": "dapo", "options": {"oversampling": 0.5}}, "give a number, 1 or more"),
        ({"gpus": 8, "options": {"algo.dynamic_filtering_enable": True}, "save_steps": 0}, "give save steps"),
    ],
)
def test_what_openrlhf_cannot_do_is_a_usage_error(fakes, tmp_path, given, changes, fault):
    python = fakes.interpreter(tmp_path / "environment", tmp_path, STUBS)
    spec, data, reward = given(python=python, **changes)
    with pytest.raises(UsageError, match=fault):
        OpenRLHF().plan(spec, data, reward)


def test_a_path_that_openrlhf_would_split_is_refused(fakes, given, tmp_path):
    spec, data, reward = given(gpus=8, python=fakes.interpreter(tmp_path / "environment", tmp_path, STUBS))
    (tmp_path / "a,b").mkdir()
    with pytest.raises(UsageError, match="splits paths at ','"):
        OpenRLHF().plan(replace(spec, output=tmp_path / "a,b"), data, reward)


def test_checkpoints_are_the_whole_numbered_folders_and_the_last_weights(fakes, tmp_path):
    numbered = tmp_path / "checkpoints"
    fakes.checkpoint(numbered / "global_step100_hf")
    fakes.checkpoint(numbered / "global_step20_hf")
    fakes.adapter(numbered / "global_step40_hf")
    fakes.checkpoint(numbered / "global_step60_hf", short_by=1)
    fakes.checkpoint(numbered / "global_step80_hf", tokenizer=False)
    fakes.checkpoint(numbered / "best_global_step20_hf")
    fakes.checkpoint(numbered / "_actor" / "global_step5_hf")
    wanted = [
        Checkpoint(20, numbered / "global_step20_hf"),
        Checkpoint(40, numbered / "global_step40_hf", is_adapter=True),
        Checkpoint(100, numbered / "global_step100_hf"),
    ]
    assert OpenRLHF().checkpoints(tmp_path) == wanted
    fakes.checkpoint(tmp_path / "final")
    assert OpenRLHF().checkpoints(tmp_path) == wanted
    (tmp_path / "openrlhf.json").write_text('{"last_step": 110}')
    assert OpenRLHF().checkpoints(tmp_path) == [*wanted, Checkpoint(110, tmp_path / "final")]
    (tmp_path / "openrlhf.json").write_text('{"last_step": 100}')
    assert OpenRLHF().checkpoints(tmp_path) == wanted
    assert OpenRLHF().checkpoints(tmp_path / "nothing") == []


def test_a_plan_records_the_step_of_the_last_weights(fakes, given, python):
    spec, data, reward = given(python=python)
    OpenRLHF().plan(spec, data, reward)
    fakes.checkpoint(spec.output / "final")
    assert [found.step for found in OpenRLHF().checkpoints(spec.output)] == [3]
    OpenRLHF().plan(replace(spec, algorithm="dapo"), data, reward)
    assert OpenRLHF().checkpoints(spec.output) == []


def test_progress_is_read_from_the_line_of_a_global_step():
    line = (
        "\x1b[36m(PPOTrainer pid=7)\x1b[0m INFO 11-21 10:00:00 ppo_trainer.py:480] ✨ Global step 12: "
        "{'policy_loss': -0.5, 'kl': 0.25, 'reward': 0.5, 'entropy_loss': 1.5, 'actor_lr': 1e-06, 'void': 0.125, "
        "'actor_grad_norm': tensor(0.75, device='cuda:0'), 'vllm_kl': nan, 'rollout/reward_mean': 0.375, "
        "'rollout/response_length_mean': 512.0, 'timing/step_total': 30.5}"
    )
    found = OpenRLHF().progress(line)
    assert found.step == 12
    assert found.numbers == {
        **{"policy_loss": -0.5, "kl": 0.25, "reward": 0.375, "entropy": 1.5, "actor_lr": 1e-6, "void": 0.125},
        **{"actor_grad_norm": 0.75, "response_length": 512.0, "step_s": 30.5},
    }


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Episode [1/1]:   3%|3         | 4/128 [00:10<05:10]",
        "INFO 11-21 10:00:00 ppo_trainer.py:300] Sample: ['Global step 3', 1.0]",
        "✨ Evaluation completed in 0:00:10, global_step 5, eval_metrics: {'eval_default_pass1': 0.5}",
        "✨ Global step 3: {'a': ",
        "✨ Global step 3: {__import__('os')}",
    ],
)
def test_other_lines_tell_no_progress(line):
    assert OpenRLHF().progress(line) is None


def test_the_line_is_the_one_that_the_trainer_logs(site):
    source = (site / "openrlhf" / "trainer" / "ppo_trainer.py").read_text()
    assert 'logger.info(f"✨ Global step {global_step}: {log_status}")' in source
    assert '"rollout/reward_mean"' in source
