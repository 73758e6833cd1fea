"""The guard on whole runs of tiny checkpoints: shared end tokens, refusals, and what the reports say of them."""

import json
import re
import shutil

import pytest

from rlvr_harness import FinishReason, SamplingLaw
from rlvr_harness.run_reader import read_json, read_problems, read_samples
from rlvr_hf.sampler import HfSampler

LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=40)
LINE = ".\n"
"""A token of the demo vocabulary that is text, so that a stored sample shows whether it ended there."""

FEW = ["--tasks", "countdown", "--limit", 2, "--k", 32, "--workers", 1, "--threads", 1, "--batch_size", 64, "--quiet"]
FEW += ["--gen_kwargs", "temperature=1,top_p=1"]


def with_end(folder, target, token):
    """A copy of a checkpoint that declares this token its one end."""
    shutil.copytree(folder, target)
    vocabulary = json.loads((target / "tokenizer.json").read_text())["model"]["vocab"]
    for name in ("config.json", "generation_config.json"):
        content = json.loads((target / name).read_text())
        (target / name).write_text(json.dumps({**content, "eos_token_id": vocabulary[token]}))
    settings = json.loads((target / "tokenizer_config.json").read_text())
    (target / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": token}))
    return target


@pytest.fixture(scope="module")
def line_model(tiny_model, tmp_path_factory):
    """A checkpoint that ends its texts with a line, where its base ends them with </s>."""
    return with_end(tiny_model, tmp_path_factory.mktemp("checkpoints") / "line", LINE)


@pytest.fixture(scope="module")
def foreign_model(tiny_model, tmp_path_factory):
    """A checkpoint whose end token no other tokenizer has."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("checkpoints") / "foreign")
    for path in folder.glob("*token*.json"):
        path.write_text(path.read_text().replace("</s>", "<|end|>"))
    return folder


@pytest.fixture
def compare(cli, tiny_base, tmp_path):
    """compare(model, *words) -> (exit status, stdout, stderr) of a run against the tiny base, into tmp_path/run."""

    def run(model, *words):
        return cli("run", "--model", model, "--base", tiny_base, *FEW, "-o", tmp_path / "run", *words)

    return run


def stored(folder, role):
    return list(read_samples(folder, "countdown", role))


def ended_on_their_own(folder, role):
    return [sample for sample in stored(folder, role) if sample.finish_reason is FinishReason.STOP]


def fairness_of(folder):
    return read_json(folder, "results.json")["tasks"]["countdown"]["comparison"]["fairness"]


def test_models_with_other_end_tokens_all_stop_at_both(compare, line_model, tmp_path):
    status, _, err = compare(line_model)
    assert status == 0, err
    run = read_json(tmp_path / "run", "run.json")
    assert run["fairness"]["eos_tokens"] == [LINE, "</s>"]
    assert len(run["models"]["base"]["eos_token_ids"]) == 2
    assert run["models"]["base"]["eos_token_ids"] == run["models"]["model"]["eos_token_ids"]
    fairness = fairness_of(tmp_path / "run")
    assert (fairness["same_prompt"], fairness["same_sampling"]) == (True, True)
    assert any(re.match(r"base: \d+\.\d% of the completions were cut", warning) for warning in fairness["warnings"])
    assert fairness["eos_tokens"] == [LINE, "</s>"]
    assert any("every model stops at all of them" in warning for warning in fairness["warnings"])
    for role in ("base", "model"):
        assert ended_on_their_own(tmp_path / "run", role)
        assert not any(LINE in sample.text for sample in stored(tmp_path / "run", role))


def test_a_base_alone_stops_at_its_own_end_token(cli, tiny_base, tmp_path):
    assert cli("run", "--model", tiny_base, *FEW, "-o", tmp_path / "run")[0] == 0
    assert any(LINE in sample.text for sample in stored(tmp_path / "run", "model"))


def test_the_shared_end_tokens_cut_texts_and_change_nothing_before(open_model, tiny_base, puzzle, request_for):
    unit = (request_for(puzzle(0), range(64)),)
    own = open_model(tiny_base).sample(unit, LAW)
    both = open_model(tiny_base, eos_tokens=("</s>", LINE)).sample(unit, LAW)
    assert [sample.text for sample in both] == [sample.text.split(LINE)[0] for sample in own]
    cut = [(before, after) for before, after in zip(own, both, strict=True) if LINE in before.text]
    assert 8 < len(cut) < 64
    assert all(
        after.finish_reason is FinishReason.STOP and after.n_tokens < before.n_tokens for before, after in cut[:8]
    )


def test_a_stop_string_that_is_a_special_token_ends_a_text(open_model, tiny_base, puzzle, request_for):
    free = open_model(tiny_base).sample((request_for(puzzle(0), range(64)),), LAW)
    stopped = open_model(tiny_base).sample((request_for(puzzle(0, stop=("<unk>",)), range(64)),), LAW)
    cut = [(a, b) for a, b in zip(free, stopped, strict=True) if b.n_tokens < a.n_tokens]
    assert len(cut) > 8
    assert {after.finish_reason for _, after in cut} == {FinishReason.STOP}
    assert all(before.text.startswith(after.text) for before, after in cut)


def test_the_profile_tells_end_tokens_and_precision_without_weights(line_model, tiny_base, open_model):
    from rlvr_harness import ComparableProfile, ModelRequest

    profile = HfSampler().profile(ModelRequest("model", str(line_model)))
    assert isinstance(profile, ComparableProfile)
    assert (profile.eos_tokens, profile.dtype, profile.quantization) == ((LINE,), "float32", None)
    assert profile.has_token("</s>") and not profile.has_token("<|end|>")
    base = HfSampler().profile(ModelRequest("base", str(tiny_base), args={"dtype": "bfloat16"}))
    assert (base.eos_tokens, base.dtype) == (("</s>",), "bfloat16")


def test_end_tokens_that_cannot_be_shared_are_refused_before_anything_is_written(compare, foreign_model, tmp_path):
    status, out, err = compare(foreign_model)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: not a fair comparison: the checkpoints end their texts with different tokens")
    assert "(base: </s>; model: <|end|>)" in err and "--allow_unfair" in err
    assert not (tmp_path / "run").exists()


def test_allow_unfair_compares_all_the_same_and_every_report_says_so(compare, foreign_model, tmp_path):
    status, out, err = compare(foreign_model, "--allow_unfair")
    assert status == 0, err
    fairness = fairness_of(tmp_path / "run")
    assert (fairness["same_prompt"], fairness["same_sampling"]) == (True, False)
    assert "eos_tokens" not in fairness
    said = "the checkpoints end their texts with different tokens"
    assert any(warning.startswith(said) for warning in fairness["warnings"])
    assert len(fairness["warnings"]) == len(set(fairness["warnings"]))
    for text in (out, (tmp_path / "run/report.html").read_text(), (tmp_path / "run/report.md").read_text()):
        assert said in text and re.search(r"DIFFERENT sampling law for .*RL model and base", text)
    assert "--allow_unfair" in read_json(tmp_path / "run", "run.json")["command"]


def test_another_dtype_for_the_base_is_refused(compare, tiny_model):
    status, _, err = compare(tiny_model, "--base_args", "dtype=bfloat16")
    assert status == 2
    assert "the engine argument 'dtype' differs (base: bfloat16; model: float32)" in err


def test_other_chat_templates_are_refused_or_give_each_model_its_own_prompt(
    cli, compare, tiny_base, tiny_model, tmp_path
):
    folders = {}
    for name, folder, mark in (("base", tiny_base, "1"), ("model", tiny_model, "2")):
        folders[name] = shutil.copytree(folder, tmp_path / name)
        (folders[name] / "chat_template.jinja").write_text(f"{mark}{{{{ messages[0].content }}}}")
    words = [folders["model"], "--base", folders["base"], "--apply_chat_template"]
    status, _, err = compare(*words)
    assert status == 2
    assert "the chat templates of the base and model models make different prompts" in err
    assert compare(*words, "--allow_unfair")[0] == 0
    fairness = fairness_of(tmp_path / "run")
    assert (fairness["same_prompt"], fairness["same_sampling"]) == (False, True)
    assert read_problems(tmp_path / "run", "countdown", "base")[0].prompt.startswith("1Make ")
    assert read_problems(tmp_path / "run", "countdown", "model")[0].prompt.startswith("2Make ")
    alone = ["--model", folders["model"], "--apply_chat_template", *FEW, "-o", tmp_path / "alone"]
    assert cli("run", *alone)[0] == 0
    texts = [{(s.problem_id, s.index, s.text) for s in stored(tmp_path / run, "model")} for run in ("run", "alone")]
    assert texts[0] == texts[1]


def test_a_missing_chat_template_is_an_error_or_a_warning(compare, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "chat_template.jinja").write_text("{{ messages[0].content }}4")
    status, _, err = compare(model, "--apply_chat_template")
    assert (status, "has no chat template" in err) == (1, True)
    assert compare(model, "--apply_chat_template", "--allow_unfair")[0] == 0
    fairness = fairness_of(tmp_path / "run")
    assert fairness["same_prompt"] is False
    assert "task 'countdown': base has no chat template and is given plain prompts" in fairness["warnings"]


def test_resume_keeps_the_end_tokens_that_the_run_began_with(cli, compare, tiny_model, line_model, tmp_path):
    model = shutil.copytree(line_model, tmp_path / "model")
    assert compare(model)[0] == 0
    before = {(s.problem_id, s.index, s.text) for s in stored(tmp_path / "run", "model")}
    decided = read_json(tmp_path / "run", "run.json")["fairness"]
    for part in (tmp_path / "run/samples").rglob("part-*"):
        part.unlink()
    content = json.loads((model / "generation_config.json").read_text())
    (model / "generation_config.json").write_text(json.dumps({**content, "eos_token_id": [4, 5, 6]}))
    assert cli("resume", tmp_path / "run", "--quiet")[0] == 0
    assert read_json(tmp_path / "run", "run.json")["fairness"] == decided
    assert {(s.problem_id, s.index, s.text) for s in stored(tmp_path / "run", "model")} == before


def test_a_run_begun_without_the_guard_goes_on_with_each_models_own_end_tokens(cli, compare, line_model, tmp_path):
    assert compare(line_model)[0] == 0
    record = json.loads((tmp_path / "run/run.json").read_text())
    del record["fairness"]
    (tmp_path / "run/run.json").write_text(json.dumps(record))
    for part in (tmp_path / "run").rglob("part-*"):
        part.unlink()
    assert cli("resume", tmp_path / "run", "--quiet")[0] == 0
    assert fairness_of(tmp_path / "run")["same_sampling"] is False
    assert any(LINE in sample.text for sample in stored(tmp_path / "run", "base"))
