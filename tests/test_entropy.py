"""Token entropy is that of the whole vocabulary under teacher forcing, and temperatures are matched by it."""

import math

import pytest

from rlvr_harness import EntropyModel, TextPair, app
from rlvr_harness.analyses import mean_entropy
from rlvr_harness.demo_models import resolve_path
from rlvr_harness.errors import UsageError
from rlvr_harness.matching import describe, find_temperature, fresh_texts
from rlvr_harness.parts.columns import ENTROPIES
from rlvr_harness.records import Measurement
from rlvr_harness.run_reader import read_json, read_problems, read_samples, read_scores
from rlvr_harness.run_spec import parse_spec
from tests.small_runs import OPTIONS, finished_run, run_folder  # noqa: F401

TASK = "countdown"


def silent(_):
    """Nobody listens."""


def plain_entropies(path, pairs, temperatures):
    """Sums of entropies per text and temperature by transformers alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path)
    found = []
    for pair in pairs:
        before = tokenizer(pair.prompt)["input_ids"]
        after = tokenizer(pair.text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1].double()
        logs = [(logits / temperature).log_softmax(-1) for temperature in temperatures]
        found.append(tuple(float(-(log.exp() * log).sum()) for log in logs))
    return found


def token(folder):
    models = read_json(folder, "results.json")["tasks"][TASK]["models"]
    return {role: model["entropy"]["token"] for role, model in models.items()}


def test_the_mean_is_over_texts_of_the_mean_over_tokens():
    found = mean_entropy([("a", 2.0, 4), ("a", 3.0, 2), ("b", 4.0, 1)], seed=0)
    assert found.value == pytest.approx((0.5 + 1.5 + 4.0) / 3)
    assert (found.low, found.high) == (pytest.approx(1.0), pytest.approx(4.0))


def test_entropies_are_those_of_a_plain_forward(open_model, tiny_base, puzzle):
    model = open_model(tiny_base)
    pairs = [TextPair(puzzle(number).prompt, "1 + 2 = 3\n" * (1 + number)) for number in range(3)]
    assert isinstance(model, EntropyModel)
    found = dict(model.token_entropies(pairs, (1.0, 0.25)))
    for at, wanted in enumerate(plain_entropies(tiny_base, pairs, (1.0, 0.25))):
        assert found[at].sums == pytest.approx(wanted, abs=1e-4)


def test_a_token_of_probability_0_adds_nothing(open_model, tiny_base, puzzle):
    ((_, found),) = open_model(tiny_base).token_entropies([TextPair(puzzle(0).prompt, "1 + 2")], (1e-4,))
    assert found.sums[0] == pytest.approx(0.0, abs=1e-6)


def test_the_command_measures_every_model_at_both_temperatures_on_its_own_samples(run_folder, cli):  # noqa: F811
    status, out, err = cli("entropy", run_folder, "--per_problem", 3)
    assert status == 0, err
    assert "nats at temperature 1" in out and "at its sampling temperature of 0.6" in out
    prompts = {problem.problem_id: problem.prompt for problem in read_problems(run_folder, TASK)}
    for role, path in (("base", "demo/base"), ("model", "demo/rlvr")):
        rows = {row[:2]: row for row in read_scores(run_folder, ENTROPIES, TASK, role, role)}
        texts = [one for one in read_samples(run_folder, TASK, role) if (one.problem_id, one.index) in rows]
        sums = plain_entropies(resolve_path(path), [TextPair(prompts[t.problem_id], t.text) for t in texts], (1.0, 0.6))
        lengths = [rows[one.problem_id, one.index][4] for one in texts]
        found = token(run_folder)[role]
        for place, name in enumerate(("at_1", "at_sampling")):
            mean = sum(each[place] / length for each, length in zip(sums, lengths, strict=True)) / len(texts)
            assert found[name]["value"] == pytest.approx(mean, rel=1e-4)
        assert (found["temperature"], found["texts"], len(texts)) == (0.6, 18, 18)
    assert "scored" not in cli("entropy", run_folder, "--per_problem", 3)[2]
    answer = read_json(run_folder, "results.json")["tasks"][TASK]["models"]["base"]["entropy"]["answer"]
    assert answer is not None


@pytest.mark.parametrize(("target", "start"), [(0.9, 0.6), (0.3, 0.6), (1.0, 4.0), (0.2, 0.1)])
def test_bisection_finds_the_temperature_of_a_rising_entropy(target, start):
    match = find_temperature(
        lambda t: 1 - math.exp(-t), Measurement(target * 0.9, target * 0.9 - 0.01, target * 0.9 + 0.01), start, silent
    )
    assert abs(match.entropy - target * 0.9) <= 0.01
    assert match.temperature == pytest.approx(-math.log(1 - match.entropy))
    assert match.path[0].temperature == start
    assert len(match.path) <= 20


def test_a_start_that_already_fits_is_taken():
    match = find_temperature(lambda t: 0.5, Measurement(0.52, 0.49, 0.55), 0.6, silent)
    assert (match.temperature, len(match.path)) == (0.6, 1)


def test_a_jump_in_entropy_ends_the_search_at_the_nearer_side():
    match = find_temperature(lambda t: 0.0 if t < 1.0 else 1.0, Measurement(0.4, 0.39, 0.41), 0.6, silent)
    assert match.entropy == 0.0
    assert match.temperature == pytest.approx(1.0, abs=0.006)
    assert "the nearest that was found" in describe(match)


def test_an_entropy_out_of_reach_is_told():
    with pytest.raises(UsageError, match=r"no temperature from 0\.05 to 8"):
        find_temperature(lambda t: 0.1, Measurement(3.0, 2.9, 3.1), 0.6, silent)


def test_texts_of_a_search_come_from_all_over_the_task_with_seeds_of_their_own(puzzle):
    fresh = fresh_texts([puzzle(number) for number in range(10)], 4, 2, seed=3)
    assert [problem.problem_id for problem in fresh.problems] == ["p0", "p3", "p6", "p9"]
    seeds = [seed for request in fresh.requests() for seed in request.seeds]
    assert len(set(seeds)) == 8 and fresh.requests() == fresh.requests()


def test_a_run_may_give_one_model_a_temperature_of_its_own_and_says_so(tmp_path, finished_run):  # noqa: F811
    spec = {**OPTIONS, "temperatures": "model=1.3", "output_path": str(tmp_path / "run")}
    results = app.run(parse_spec(spec), quiet=True).results
    fairness = results["tasks"][TASK]["comparison"]["fairness"]
    assert fairness["same_sampling"] is False
    assert any(text.startswith("temperatures differ on purpose") for text in fairness["warnings"])
    texts = {role: [one.text for one in read_samples(tmp_path / "run", TASK, role)] for role in ("base", "model")}
    before = {role: [one.text for one in read_samples(finished_run, TASK, role)] for role in ("base", "model")}
    assert texts["base"] == before["base"] and texts["model"] != before["model"]


def test_temperatures_of_models_that_the_run_has_not_are_refused():
    with pytest.raises(UsageError, match="'modle' is none of the models base, model"):
        parse_spec({**OPTIONS, "temperatures": {"modle": 1.0}})


def test_matching_reruns_the_comparison_with_the_bases_own_samples(run_folder, cli):  # noqa: F811
    words = ("entropy", run_folder, "--match", "--per_problem", 4, "--match_samples", 2)
    status, out, err = cli(*words)
    assert status == 0, err
    matched = run_folder.with_name("run-matched")
    assert list(read_samples(matched, TASK, "base")) == list(read_samples(run_folder, TASK, "base"))
    found = read_json(run_folder, "analyses/entropy/matching.json")[TASK]
    assert abs(found["entropy"] - found["target"]) <= found["tolerance"]
    assert found["temperature"] > 0.6 and f"T = {found['path'][0]['temperature']:g}: token entropy" in out
    assert read_json(matched, "run.json")["spec"]["temperatures"] == {"base": 0.6, "model": found["temperature"]}
    fairness = read_json(matched, "results.json")["tasks"][TASK]["comparison"]["fairness"]
    assert fairness["warnings"] == [found["text"]] and "entropy matched" in found["text"]
    assert fairness["same_sampling"] is False
    assert token(matched)["base"]["at_sampling"] == token(run_folder)["base"]["at_sampling"]
    assert token(matched)["model"]["temperature"] == found["temperature"]
    again = cli(*words)
    assert again[0] == 0 and "scored" not in again[2] and "token entropy 0" not in again[2]


def test_a_greedy_run_has_no_entropy_to_match(tmp_path, cli):
    spec = {**OPTIONS, "k": 1, "n": 1, "gen_kwargs": "temperature=0", "output_path": str(tmp_path / "run")}
    app.run(parse_spec(spec), quiet=True)
    status, _, err = cli("entropy", tmp_path / "run", "--match")
    assert status == 2 and "temperature 0" in err
    assert token(tmp_path / "run")["base"]["at_sampling"]["value"] is None
    assert token(tmp_path / "run")["base"]["at_1"]["value"] > 0
