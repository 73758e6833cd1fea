"""Perplexity is exp of the cross entropy of a plain forward pass, stored so that nothing is scored twice."""

import json
import math
import shutil
from functools import cache

import pytest

from rlvr_harness import ScoringModel, TextPair, app
from rlvr_harness.demo_models import resolve_path
from rlvr_harness.metrics.pooled import TextLogprob, perplexities, perplexity, pooled
from rlvr_harness.parts.columns import PERPLEXITIES
from rlvr_harness.requests import SampleRequest, SamplingLaw
from rlvr_harness.run_reader import read_json, read_problems, read_samples, read_scores
from rlvr_harness.scored_samples import Selection
from tests.small_runs import finished_run, run_folder  # noqa: F401

TASK = "countdown"


@cache
def loaded(path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


def forward(path, prompt, text, end=False):
    """Log probabilities of the tokens of a text, and of the end token after it, by transformers alone."""
    import torch

    model, tokenizer = loaded(str(path))
    before = tokenizer(prompt)["input_ids"]
    after = tokenizer(text, add_special_tokens=False)["input_ids"] + ([tokenizer.eos_token_id] if end else [])
    with torch.no_grad():
        logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1].double()
    return logits.log_softmax(-1).gather(1, torch.tensor(after)[:, None]).squeeze(1)


def rows(folder, scorer, author):
    return {row[:2]: row[2:] for row in read_scores(folder, PERPLEXITIES, TASK, scorer, author)}


def parts(folder):
    return {path: path.read_bytes() for path in sorted((folder / "analyses").rglob("*.parquet"))}


def test_two_tokens_of_probability_a_half_and_an_eighth_have_perplexity_4():
    found = perplexity([TextLogprob("p", math.log(1 / 2) + math.log(1 / 8), 2)], seed=0)
    assert found.value == pytest.approx(4.0)
    assert (found.low, found.high) == (None, None)


def test_texts_are_pooled_by_tokens_and_problems_stand_alone():
    texts = [TextLogprob("a", -3 * math.log(2), 3), TextLogprob("b", -math.log(16), 1), TextLogprob("c", 0.0, 0)]
    found = perplexity(texts, seed=0)
    assert found.value == pytest.approx(2 ** (7 / 4))
    assert (found.low, found.high) == (pytest.approx(2.0), pytest.approx(16.0))
    assert perplexities(texts) == {"a": pytest.approx(2.0), "b": pytest.approx(16.0)}


def test_nothing_to_divide_by_has_no_ratio():
    assert pooled({"a": (1.0, 0.0)}, seed=0) is None
    assert perplexity([], seed=0) is None


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says():
    import numpy as np

    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(50):
        tokens = rng.integers(5, 40, size=60)
        nats = rng.gamma(4.0, 0.25, size=60) * tokens
        found = pooled({str(i): (nats[i], tokens[i]) for i in range(60)}, seed=1)
        covered += found.low <= 1.0 <= found.high
    assert 42 <= covered <= 50


def test_scores_are_those_of_a_plain_forward_whatever_the_batch(open_model, tiny_base, puzzle, request_for):
    model = open_model(tiny_base)
    law = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=20)
    problems = [puzzle(number) for number in range(5)]
    samples = model.sample(tuple(request_for(problem, range(3)) for problem in problems), law)
    prompts = {problem.problem_id: problem.prompt for problem in problems}
    pairs = [TextPair(prompts[sample.problem_id], sample.text) for sample in samples]
    assert isinstance(model, ScoringModel)
    found = dict(model.score(pairs))
    assert sorted(found) == list(range(len(pairs)))
    alone = {
        place: next(iter(open_model(tiny_base, batch_size=1).score([pair])))[1] for place, pair in enumerate(pairs)
    }
    for place, pair in enumerate(pairs):
        wanted = forward(tiny_base, pair.prompt, pair.text)
        assert found[place].n_tokens == len(wanted)
        assert found[place].logprob_sum == pytest.approx(float(wanted.sum()), abs=1e-4)
        assert alone[place].logprob_sum == pytest.approx(found[place].logprob_sum, abs=1e-4)


def test_at_temperature_1_a_sample_scores_what_its_sampler_recorded(finished_run, open_model):  # noqa: F811
    path = resolve_path("demo/base")
    law = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=24)
    problems = read_problems(finished_run, TASK)
    model = open_model(path)
    unit = tuple(SampleRequest(problem, (0, 1), (11 + at, 77 + at)) for at, problem in enumerate(problems))
    samples = model.sample(unit, law)
    prompts = {problem.problem_id: problem.prompt for problem in problems}
    scores = dict(model.score([TextPair(prompts[sample.problem_id], sample.text) for sample in samples]))
    compared = 0
    for place, sample in enumerate(samples):
        ended = sample.finish_reason == "stop"
        if scores[place].n_tokens != sample.n_tokens - ended:
            continue  # written in other tokens than the tokenizer makes of it
        end = float(forward(path, prompts[sample.problem_id], sample.text, end=True)[-1]) if ended else 0.0
        assert scores[place].logprob_sum + end == pytest.approx(sample.logprob_sum, abs=1e-3)
        compared += 1
    assert compared >= 10


def test_a_text_longer_than_the_context_is_left_out_and_said_so(open_model, tiny_base, puzzle):
    model = open_model(tiny_base)  # 64 positions
    found = dict(model.score([TextPair(puzzle(0).prompt, "1 + 2 = 3\n" * 30), TextPair(puzzle(0).prompt, "")]))
    assert found[0].logprob_sum is None and found[0].n_tokens > 64
    assert (found[1].logprob_sum, found[1].n_tokens) == (0.0, 0)


def test_memory_that_runs_out_makes_batches_smaller_and_changes_no_score(open_model, tiny_base, puzzle, monkeypatch):
    import torch

    from rlvr_hf.scoring import Teacher

    pairs = [TextPair(puzzle(number).prompt, "1 + 2 = 3\n" * (1 + number % 3)) for number in range(9)]
    wanted = dict(open_model(tiny_base).score(pairs))
    sizes = []
    body = Teacher._body

    def scarce(self, ids, mask):
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return body(self, ids, mask)

    monkeypatch.setattr(Teacher, "_body", scarce)
    found = dict(open_model(tiny_base).score(pairs))
    assert sizes[0] == 9 and max(sizes[-3:]) <= 2
    assert [found[at].logprob_sum for at in range(9)] == pytest.approx(
        [wanted[at].logprob_sum for at in range(9)], abs=1e-4
    )


@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
def test_a_vocabulary_projected_in_pieces_gives_the_same(open_model, tiny_base, puzzle, rows_at_once):
    from rlvr_hf.scoring import Teacher

    lm = open_model(tiny_base)._lm
    pairs = [TextPair(puzzle(number).prompt, "1 + 2 = 3\n") for number in range(3)]
    whole = dict(Teacher(lm, lm.model, None, 2**30).score(pairs))
    teacher = Teacher(lm, lm.model, None, 2**30)
    teacher._logits_rows = rows_at_once
    assert {at: one.logprob_sum for at, one in teacher.score(pairs)} == pytest.approx(
        {at: one.logprob_sum for at, one in whole.items()}, abs=1e-5
    )


def test_logits_that_are_capped_are_scored_capped(tmp_path):
    import torch
    from transformers import Gemma2Config, Gemma2ForCausalLM

    from rlvr_demo.tokenizer import build_tokenizer
    from rlvr_harness import ModelRequest
    from rlvr_hf.sampler import HfSampler

    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma2Config(
        **{**shape, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": len(tokenizer)},
        **{"final_logit_softcapping": 0.5, "initializer_range": 1.0, "max_position_embeddings": 64},
        **{"pad_token_id": 0, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id},
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pair = TextPair("Make 35 from 1, 2.\n", "1 + 2 = 3\n")
    model = HfSampler().open(ModelRequest("model", str(tmp_path), device="cpu", threads=1))
    ((_, found),) = model.score([pair])
    assert found.logprob_sum == pytest.approx(float(forward(tmp_path, pair.prompt, pair.text).sum()), abs=1e-4)
    model._teacher._head = None  # as for an architecture that nothing is known of
    ((_, again),) = model.score([pair])
    assert again.logprob_sum == pytest.approx(found.logprob_sum, abs=1e-4)


def test_all_models_are_scored_on_the_same_indices_and_more_of_them_hold_fewer():
    few, many = Selection(3), Selection(5)
    chosen = few.indices(0, TASK, "p", 16)
    assert many.indices(0, TASK, "p", 16)[:3] == chosen and len(set(chosen)) == 3
    assert few.indices(1, TASK, "p", 16) != chosen or few.indices(2, TASK, "p", 16) != chosen
    assert sorted(Selection(9).indices(0, TASK, "p", 4)) == [0, 1, 2, 3]


def test_of_a_sequential_plan_only_what_every_problem_has_is_scored(finished_run):  # noqa: F811
    record = read_json(finished_run, "run.json")
    record["tasks"][TASK]["plan"] = {"kind": "sequential", "stages": [4, 8, 12], "stop_after": 8}
    keys = Selection(8, limit=2).keys(finished_run, TASK, record)
    ids = [problem.problem_id for problem in read_problems(finished_run, TASK)][:2]
    assert keys == {(problem_id, index) for problem_id in ids for index in range(4)}


def test_the_command_gives_the_matrix_and_results_hold_what_the_definition_says(run_folder, cli):  # noqa: F811
    status, out, err = cli("ppl", run_folder, "--per_problem", 4)
    assert status == 0, err
    assert len([line for line in out.splitlines() if "texts under" in line]) == 4
    models = read_json(run_folder, "results.json")["tasks"][TASK]["models"]
    prompts = {problem.problem_id: problem.prompt for problem in read_problems(run_folder, TASK)}
    for author in ("base", "model"):
        keys = set(rows(run_folder, "base", author))
        assert keys == set(rows(run_folder, "model", author)) and len(keys) == 24
        texts = [one for one in read_samples(run_folder, TASK, author) if (one.problem_id, one.index) in keys]
        for role, path in (("base", "demo/base"), ("model", "demo/rlvr")):
            logs = [forward(resolve_path(path), prompts[one.problem_id], one.text) for one in texts]
            nats, tokens = -sum(float(log.sum()) for log in logs), sum(map(len, logs))
            found = models[role]["perplexity"]["of"][author]
            assert found["value"] == pytest.approx(math.exp(nats / tokens), rel=1e-5)
            assert (found["texts"], found["tokens"], found["too_long"]) == (24, tokens, 0)
            assert found["low"] <= found["value"] <= found["high"]
            assert found["right"]["texts"] + found["wrong"]["texts"] == 24
            assert len(found["by_problem"]) == 6


def test_a_second_call_scores_nothing_again_and_goes_on_where_the_first_was_cut_off(run_folder, cli):  # noqa: F811
    assert cli("ppl", run_folder, "--per_problem", 2)[0] == 0
    before = parts(run_folder)
    status, _, err = cli("ppl", run_folder, "--per_problem", 2)
    assert status == 0 and "scored" not in err
    assert parts(run_folder) == before
    whole = rows(run_folder, "model", "base")
    shutil.rmtree(run_folder / "analyses" / "perplexity" / TASK / "model" / "base")
    status, _, err = cli("ppl", run_folder, "--per_problem", 3)
    assert "model on countdown: 18 of 18 texts of base scored" in err
    assert "base on countdown: 6 of 6 texts of base scored" in err
    again = rows(run_folder, "model", "base")
    assert {key: again[key][0] for key in whole} == pytest.approx({key: row[0] for key, row in whole.items()}, abs=1e-4)


def test_texts_of_a_third_party_are_scored_under_their_name(run_folder, cli, tmp_path):  # noqa: F811
    problem = read_problems(run_folder, TASK)[1]
    file = tmp_path / "gold.jsonl"
    lines = [{"problem_id": problem.problem_id, "text": "1 + 2 = 3"}]
    lines += [{"problem_id": problem.problem_id, "text": text, "name": "third"} for text in ("4 + 5 = 9", "4 + 5")]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    status, _, err = cli("ppl", run_folder, "--text", file, "--per_problem", 1, "--models", "base")
    assert status == 0, err
    of = read_json(run_folder, "results.json")["tasks"][TASK]["models"]["base"]["perplexity"]["of"]
    assert set(of) == {"base", "model", "gold", "third"}
    wanted = forward(resolve_path("demo/base"), problem.prompt, "1 + 2 = 3")
    assert of["gold"]["value"] == pytest.approx(math.exp(-float(wanted.mean())), rel=1e-5)
    assert (of["third"]["texts"], of["third"]["right"], of["gold"]["low"]) == (2, None, None)
    file.write_text(json.dumps({**lines[0], "text": "other"}) + "\n")
    status, _, err = cli("ppl", run_folder, "--text", file, "--per_problem", 1)
    assert status == 2 and "another name" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1 is not JSON"),
        ('{"problem_id": "x"}', "lacks problem_id or text"),
        ('{"problem_id": "nowhere", "text": "t"}', "is in no task"),
        ('{"problem_id": "test-000", "text": "t", "name": "base"}', "is a model of the run"),
        ("", "holds no texts"),
    ],
)
def test_a_faulty_text_file_is_told_with_its_line(finished_run, cli, tmp_path, line, said):  # noqa: F811
    file = tmp_path / "texts.jsonl"
    file.write_text(line)
    status, _, err = cli("ppl", finished_run, "--text", file)
    assert status == 2 and said in err and len(err.splitlines()) == 1


def test_unknown_models_and_engines_that_cannot_score_are_refused(run_folder, cli):  # noqa: F811
    assert "the run has the models base, model" in cli("ppl", run_folder, "--models", "nobody")[2]
    status, _, err = cli("ppl", run_folder, "--sampler", "lm_eval:dummy")
    assert status == 1 and "lm_eval:dummy cannot score texts: it makes its log-likelihoods up" in err
    assert "open the models with --sampler hf" in err


def test_weights_that_have_changed_since_are_refused(run_folder, cli, tiny_base):  # noqa: F811
    status, _, err = cli("ppl", run_folder, "--checkpoint", f"base={tiny_base}")
    assert status == 1 and "not those that the run sampled" in err


def test_imported_counts_have_no_texts_to_score(tmp_path, cli):
    file = tmp_path / "counts.csv"
    file.write_text("problem_id,n,c\na,4,1\n")
    assert cli("import", "--task", "t", "--model", file, "-o", tmp_path / "run")[0] == 0
    status, _, err = cli("ppl", tmp_path / "run")
    assert status == 1 and "holds no samples" in err


def test_results_keep_their_perplexities_when_the_run_goes_on(run_folder, cli):  # noqa: F811
    assert cli("ppl", run_folder, "--per_problem", 2)[0] == 0
    before = read_json(run_folder, "results.json")["tasks"][TASK]["models"]["base"]["perplexity"]
    app.resume(run_folder, quiet=True)
    assert read_json(run_folder, "results.json")["tasks"][TASK]["models"]["base"]["perplexity"] == before
    app.topup(run_folder, 14, quiet=True)
    assert "perplexity" in read_json(run_folder, "results.json")["tasks"][TASK]["models"]["base"]


def test_a_damaged_part_is_set_aside_and_scored_again(run_folder, cli):  # noqa: F811
    assert cli("ppl", run_folder, "--per_problem", 2)[0] == 0
    whole = rows(run_folder, "base", "model")
    (part,) = (run_folder / "analyses" / "perplexity" / TASK / "base" / "model").glob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-40])
    status, _, err = cli("ppl", run_folder, "--per_problem", 2)
    assert status == 0 and "damaged part was set aside" in err and "12 of 12 texts of model scored" in err
    again = rows(run_folder, "base", "model")
    assert {key: row[0] for key, row in again.items()} == pytest.approx({key: row[0] for key, row in whole.items()})
