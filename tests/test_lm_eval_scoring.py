"""Samplers `lm_eval:NAME` score texts as `hf` does: the same tokens, the same sums, nothing cut off."""

import json
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rlvr_harness import ModelError, ModelRequest, ScoringModel, TextPair, app
from rlvr_harness.parts.columns import PERPLEXITIES
from rlvr_harness.run_reader import read_json, read_scores
from rlvr_harness.run_spec import parse_spec
from rlvr_hf.adapters import hash_of_weights
from rlvr_lm_eval.classes import ModelClass
from rlvr_lm_eval.model import LmEvalModel
from rlvr_lm_eval.sampler import LmEvalFamily
from tests.small_runs import OPTIONS, finished_run, run_folder  # noqa: F401

TASK = "countdown"
ENDS = ("\n", " ", "\n\n", "=", " = ", "")
"""Ends of prompts; lm-eval's own split moves white space there to the text."""


def opened(folder, **request):
    return LmEvalFamily().member("hf").open(ModelRequest("model", str(folder), device="cpu", threads=1, **request))


def same(ours, theirs, tolerance=1e-4):
    assert sorted(ours) == sorted(theirs)
    for place, score in theirs.items():
        assert ours[place].n_tokens == score.n_tokens
        if score.logprob_sum is None:
            assert ours[place].logprob_sum is None
        else:
            assert ours[place].logprob_sum == pytest.approx(score.logprob_sum, abs=tolerance)


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_sums_and_tokens_are_those_of_hf_whatever_ends_the_prompt(open_model, tiny_base, batch_size):
    pairs = [TextPair(f"Make 12 from 3, 4.{end}", text) for end in ENDS for text in ("3 * 4 = 12\n", " 3", "")]
    pairs += pairs[:2]  # the same text twice
    pairs += [TextPair("", "1 + 2 = 3"), TextPair("<s>Make 12 from 3, 4.\n", "3 * 4")]
    model = opened(tiny_base, batch_size=batch_size)
    assert isinstance(model, ScoringModel)
    found = dict(model.score(pairs))
    assert len(found) == len(pairs) and found[0].logprob_sum < -1.0
    same(found, dict(open_model(tiny_base).score(pairs)))


def test_what_lm_eval_would_cut_has_no_score_and_the_longest_that_fits_has(open_model, tiny_base):
    """A context of 64 tokens: lm-eval alone would drop the prompt's beginning and score the rest."""
    pairs = [TextPair("Make 12 from 3, 4.\n", "1 + " * number) for number in range(1, 40)]
    found = dict(opened(tiny_base).score(pairs))
    wanted = dict(open_model(tiny_base).score(pairs))
    assert {score.logprob_sum is None for score in wanted.values()} == {True, False}
    same(found, wanted)


def test_a_model_in_bfloat16_is_summed_in_float32_as_hf_does(open_model, tiny_base):
    pairs = [TextPair("Make 12 from 3, 4.\n", "3 * 4 = 12\n1 + 2 = 3\n")]
    found = dict(opened(tiny_base, args={"dtype": "bfloat16"}).score(pairs))
    # The two pad differently and round their hidden states to 8 bits; a sum in bfloat16 would be a whole number.
    same(found, dict(open_model(tiny_base, args={"dtype": "bfloat16"}).score(pairs)), tolerance=0.2)
    assert found[0].logprob_sum % 0.5 != 0.0


def test_texts_are_run_together_only_as_far_as_their_logits_fit(tiny_base, monkeypatch):
    model = opened(tiny_base)
    pairs = [TextPair("Make 12 from 3, 4.\n", "1 + " * number) for number in (1, 2, 9, 8)]
    wanted = dict(model.score(pairs))
    sizes = []
    call = model._lm._model_call
    monkeypatch.setattr(model._lm, "_model_call", lambda inps, **more: sizes.append(tuple(inps.shape)) or call(inps))
    model._likelihoods._most_tokens = 60
    same(dict(model.score(pairs)), wanted)
    assert [rows for rows, _ in sizes] == [2, 2] and max(rows * width for rows, width in sizes) <= 60


class Tokenizing:
    """A class of lm-eval that adds a begin token (1) to whatever it reads, one token a character."""

    bos_token_id, prefix_token_id, max_length = 1, 1, 20

    def __init__(self, logprob=-0.5):
        self.logprob, self.requests = logprob, []
        self.tokenizer = self

    def __call__(self, text, add_special_tokens):
        body = text.removeprefix("<s>")
        return {"input_ids": [1] * (body != text) + [ord(sign) for sign in body]}

    def tok_encode(self, text):
        return [1, *self(text, False)["input_ids"]]

    def _loglikelihood_tokens(self, requests):
        self.requests += [request[1:] for request in requests]
        return [(self.logprob * len(text), False) for _, _, text in requests]


def scores(lm, pairs, name="trtllm"):
    return dict(LmEvalModel(ModelRequest("model", "m"), ModelClass(name), lm, None).score(pairs))


def test_a_begin_token_that_the_prompt_has_is_not_added_again():
    lm = Tokenizing()
    scores(lm, [TextPair("a", "bc"), TextPair("<s>a", "bc"), TextPair("", "b")])
    assert lm.requests == [([1, 97], [98, 99]), ([1, 97], [98, 99]), ([1], [98])]


@pytest.mark.parametrize(("name", "fits"), [("trtllm", 18), ("onnxruntime", 19)])
def test_a_class_that_generates_a_token_behind_the_text_has_one_place_less(name, fits):
    found = scores(Tokenizing(), [TextPair("", "x" * number) for number in range(17, 22)], name)
    assert [17 + place for place, score in found.items() if score.logprob_sum is not None] == [*range(fits, 16, -1)]


def test_a_server_that_returns_no_log_probabilities_is_told_from_a_sure_model():
    with pytest.raises(ModelError, match=r"server does not return log probabilities of the prompt \(echo\)"):
        scores(Tokenizing(0.0), [TextPair("", "x" * 8)], "local-completions")
    assert scores(Tokenizing(0.0), [TextPair("", "x" * 8)])[0].logprob_sum == 0.0


def test_a_class_that_returns_too_few_is_refused():
    lm = Tokenizing()
    lm._loglikelihood_tokens = lambda requests: [(-1.0, False)]
    with pytest.raises(ModelError, match="Tokenizing gave 1 log-likelihoods for 2 texts"):
        scores(lm, [TextPair("", "x"), TextPair("", "y")])


def without(**fields):
    lm = Tokenizing()
    for name, value in fields.items():
        setattr(lm, name, value)
    return lm


def raising(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize(
    ("name", "lm", "says"),
    [
        ("dummy", object(), "makes its log-likelihoods up"),
        ("textsynth", object(), "hands it no tokens"),
        ("anthropic-completions", Tokenizing(), "no log probabilities"),
        ("hf", without(backend="seq2seq"), "encoder-decoder"),
        ("local-completions", without(tokenizer=None), "no tokenizer is known"),
        ("local-completions", without(tokenized_requests=False), "tokenized_requests=True"),
        ("local-completions", without(tok_encode=raising(ValueError("odd text"))), "tokens of a text: odd text"),
        ("trtllm", without(_loglikelihood_tokens=raising(NotImplementedError("no logits"))), "no logits"),
    ],
)
def test_a_class_that_cannot_score_says_why_and_what_can(name, lm, says):
    with pytest.raises(ModelError, match=says) as told:
        scores(lm, [TextPair("a", "b")], name)
    assert "--sampler hf" in str(told.value) and "\n" not in str(told.value)


@contextmanager
def served(folder, echo=True):
    """A completions server of a checkpoint that takes tokens; the address, and the tokens it was asked about."""
    import torch
    from transformers import AutoModelForCausalLM

    model, asked = AutoModelForCausalLM.from_pretrained(folder), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def do_POST(self):
            (ids,) = (body := json.loads(self.rfile.read(int(self.headers["Content-Length"]))))["prompt"]
            asked.append(ids)
            with torch.no_grad():
                logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            numbers = [None, *(float(logs[at, token]) for at, token in enumerate(ids[1:]))] if echo else []
            numbers.append(float(logs[-1].max()))
            tops = [{"x": number} for number in numbers]
            logprobs = {"token_logprobs": numbers, "top_logprobs": tops} if body["logprobs"] else None
            answer = json.dumps({"choices": [{"index": 0, "text": "", "logprobs": logprobs}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/completions", asked
        finally:
            server.shutdown()
            thread.join()


def client(address, folder, **args):
    pytest.importorskip("tenacity", reason="lm-eval's clients of servers need its extra [api]")
    args = {"base_url": address, "tokenizer": str(folder), "add_bos_token": True, "max_length": 65, **args}
    return LmEvalFamily().member("local-completions").open(ModelRequest("model", "served", args=args))


def test_a_served_model_is_asked_for_the_tokens_that_hf_scores(open_model, tiny_base):
    pairs = [TextPair("Make 12 from 3, 4.\n", text) for text in ("3 * 4 = 12\n", "1 + 2", "1 + " * 40)]
    pairs += [TextPair("<s>Make 12 from 3, 4.\n", "3")]
    with served(tiny_base) as (address, asked):
        same(dict(client(address, tiny_base).score(pairs)), dict(open_model(tiny_base).score(pairs)))
    assert len(asked) == 3 and all(ids.count(ids[0]) == 1 for ids in asked)


def test_a_server_that_echoes_nothing_is_refused(tiny_base):
    pair = TextPair("Make 12 from 3, 4.\n", "1 + 2 = 3\n" * 3)
    told = pytest.raises(ModelError, match="does not return log probabilities of the prompt")
    with served(tiny_base, echo=False) as (address, _), told:
        dict(client(address, tiny_base).score([pair]))


def test_weights_and_adapters_are_told_as_hf_tells_them(tiny_base, tiny_model):
    """Any folder of weights stands for an adapter here: only its hash is taken."""
    for args in ({}, {"peft": str(tiny_model)}):
        request = ModelRequest("model", str(tiny_base), args=args)
        found = LmEvalModel(request, ModelClass("hf"), Tokenizing(), None).facts.weight_hash
        assert found is not None and found == hash_of_weights(request)
    assert LmEvalModel(ModelRequest("model", "m"), ModelClass("dummy"), object(), None).facts.weight_hash is None


def test_ppl_refuses_weights_that_the_run_did_not_sample(run_folder, cli, tiny_base):  # noqa: F811
    status, _, err = cli("ppl", run_folder, "--sampler", "lm_eval:hf", "--checkpoint", f"base={tiny_base}")
    assert status == 1 and "not those that the run sampled" in err


def rows(folder, scorer, author):
    return {row[:2]: row[2:] for row in read_scores(folder, PERPLEXITIES, TASK, scorer, author)}


@pytest.mark.slow
def test_ppl_of_a_run_by_lm_eval_is_that_of_hf_on_the_same_texts(tmp_path, cli):
    folder, copy = tmp_path / "run", tmp_path / "copy"
    few = {"sampler": "lm_eval:hf", "k": 4, "n": 4, "limit": 3, "device": "cpu"}
    app.run(parse_spec({**OPTIONS, **few, "output_path": str(folder)}), quiet=True)
    shutil.copytree(folder, copy)
    assert cli("ppl", folder, "--per_problem", 2)[0] == 0
    assert cli("ppl", copy, "--per_problem", 2, "--sampler", "hf")[0] == 0
    ours, theirs = (read_json(one, "results.json")["tasks"][TASK]["models"] for one in (folder, copy))
    for scorer in ("base", "model"):
        for author in ("base", "model"):
            found, wanted = rows(folder, scorer, author), rows(copy, scorer, author)
            assert {key: row[1] for key, row in found.items()} == {key: row[1] for key, row in wanted.items()}
            assert {key: row[0] for key, row in found.items()} == pytest.approx(
                {key: row[0] for key, row in wanted.items()}, abs=1e-3
            )
            one, two = (models[scorer]["perplexity"]["of"][author] for models in (ours, theirs))
            assert one["value"] == pytest.approx(two["value"], rel=1e-4)
            assert (one["texts"], one["tokens"]) == (two["texts"], two["tokens"]) and one["texts"] == 6


def test_scores_of_lm_eval_are_stored_once_and_not_mixed_with_those_of_hf(run_folder, cli):  # noqa: F811
    words = ("ppl", run_folder, "--per_problem", 1, "--limit", 2, "--models", "base", "--sampler")
    status, _, err = cli(*words, "lm_eval:hf")
    assert status == 0 and "2 of 2 texts of model scored" in err
    assert "scored" not in cli(*words, "lm_eval:hf")[2]
    status, _, err = cli(*words, "hf")
    assert status == 2 and "by sampler 'lm_eval:hf', which are not mixed with those of 'hf'" in err


def test_entropy_says_in_one_line_that_lm_eval_hands_out_no_distributions(run_folder, cli):  # noqa: F811
    status, _, err = cli("entropy", run_folder, "--sampler", "lm_eval:hf")
    last = err.splitlines()[-1]
    assert status == 2 and "error: sampler 'lm_eval:hf' hands out no whole distributions" in last
    assert "--sampler hf" in last
