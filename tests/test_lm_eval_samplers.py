"""Samplers `lm_eval:NAME`: lm-eval's own model classes, drawn from with one request a sample."""

import pytest

from rlvr_harness import FinishReason, LocalTokenizer, ModelError, ModelRequest, SamplingLaw, UnknownName, UsageError
from rlvr_harness.registry import load_plugins
from rlvr_lm_eval.classes import ModelClass
from rlvr_lm_eval.model import LmEvalModel
from rlvr_lm_eval.sampler import LmEvalFamily

LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=8)


class Scripted:
    """A model of lm-eval whose texts are given by a function of (row, options)."""

    max_length = 64

    def __init__(self, text):
        self.text, self.requests = text, []

    def generate_until(self, requests):
        self.requests += [request.args for request in requests]
        return [self.text(row, request.args[1]) for row, request in enumerate(requests)]


def scripted(text, name="hf", tokenizer=None):
    return LmEvalModel(ModelRequest("model", "m"), ModelClass(name), Scripted(text), tokenizer)


@pytest.fixture(scope="module")
def opened(tiny_model):
    return LmEvalFamily().member("hf").open(ModelRequest("model", str(tiny_model), device="cpu", threads=1))


def test_a_member_of_a_family_is_found_by_its_full_name():
    registry = load_plugins()
    assert registry.get("sampler", "lm_eval:dummy").name == "lm_eval:dummy"
    with pytest.raises(UnknownName, match="no model class 'dumy'; did you mean dummy"):
        registry.get("sampler", "lm_eval:dumy")


def test_the_family_alone_asks_for_a_name():
    with pytest.raises(UsageError, match="as lm_eval:hf"):
        LmEvalFamily().profile(ModelRequest("model", "m"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("gguf", "greedy answers only"), ("local-chat-completions", "endpoint=chat"), ("vllm-vlm", "pic")],
)
def test_classes_that_cannot_be_sampled_say_why(name, says):
    with pytest.raises(UsageError, match=says):
        LmEvalFamily().member(name)


def test_the_dummy_says_lol(puzzle, request_for):
    model = LmEvalFamily().member("dummy").open(ModelRequest("model", "anything"))
    samples = model.sample(tuple(request_for(puzzle(number), range(9)) for number in range(4)), LAW)
    assert len(samples) == 36
    assert {(sample.text, sample.finish_reason) for sample in samples} == {("lol", FinishReason.STOP)}


def test_samples_differ_and_repeat_with_the_unit(opened, puzzle, request_for):
    unit = (request_for(puzzle(0), range(24)), request_for(puzzle(1), range(8)))
    first, again = opened.sample(unit, LAW), opened.sample(unit, LAW)
    assert [sample.text for sample in first] == [sample.text for sample in again]
    assert len({sample.text for sample in first}) > 16
    assert [sample.index for sample in first] == [*range(24), *range(8)]


def test_a_completion_that_fills_the_budget_counts_as_cut(tiny_base, puzzle, request_for):
    """8 tokens of a budget of 8, then 4 and the end token."""
    texts = ("1 + 2 + 3 + 4 +", "1 + 2 =")
    model = scripted(lambda row, options: texts[row], tokenizer=LocalTokenizer(str(tiny_base)))
    cut, ended = model.sample((request_for(puzzle(0), range(2)),), LAW)
    assert (cut.finish_reason, cut.n_tokens) == (FinishReason.LENGTH, 8)
    assert (ended.finish_reason, ended.n_tokens) == (FinishReason.STOP, 5)


def test_a_prompt_that_lm_eval_would_cut_is_refused(opened, puzzle, request_for):
    with pytest.raises(ModelError, match=r"problem 'p0': \d+ tokens of prompt and 60 to generate exceed"):
        opened.sample((request_for(puzzle(0), range(2)),), SamplingLaw(max_gen_toks=60))


def test_the_whole_law_is_sent(puzzle, request_for):
    model = scripted(lambda row, options: f"{row}")
    model.sample((request_for(puzzle(0, stop=("\n\n",)), range(2)),), SamplingLaw(0.6, 0.95, 5, 0.1, 1.2, 9))
    law = {"temperature": 0.6, "top_p": 0.95, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "max_gen_toks": 9}
    assert model._lm.requests == [(puzzle(0).prompt, law | {"until": ["\n\n"], "do_sample": True})] * 2


def test_servers_get_a_seed_of_their_own_with_every_request(puzzle, request_for):
    model = scripted(lambda row, options: f"{options['seed']}", "local-completions")
    samples = model.sample((request_for(puzzle(0), range(8)),), LAW)
    assert len({sample.text for sample in samples}) == 8


def test_hosted_services_are_not_sent_fields_they_refuse():
    sent = ModelClass("openai-completions").options(LAW, (), 1)
    assert not {"top_k", "min_p", "repetition_penalty"} & set(sent)
    with pytest.raises(ModelError, match="cannot send top_k=3"):
        ModelClass("openai-completions").options(SamplingLaw(top_k=3), (), 1)


def test_one_text_for_all_samples_of_several_problems_ends_the_run(puzzle, request_for):
    model = scripted(lambda row, options: "the same")
    model.sample((request_for(puzzle(0), range(8)),), LAW)
    model.sample((request_for(puzzle(1), range(8)),), LAW)
    with pytest.raises(ModelError, match="one text for all samples of 3 problems"):
        model.sample((request_for(puzzle(2), range(8)),), LAW)


def test_a_model_sure_of_two_problems_is_let_pass(puzzle, request_for):
    model = scripted(lambda row, options: "the same")
    model.sample((request_for(puzzle(0), range(8)), request_for(puzzle(1), range(8))), LAW)
    model._lm.text = lambda row, options: f"{row}"
    assert len(model.sample((request_for(puzzle(2), range(8)),), LAW)) == 8


def test_a_failing_class_is_named(puzzle, request_for):
    def fail(row, options):
        raise ValueError("out of luck")

    with pytest.raises(ModelError, match="Scripted fails to generate: out of luck"):
        scripted(fail).sample((request_for(puzzle(0), range(1)),), LAW)


def test_the_profile_reads_tokenizer_and_context(tiny_base):
    profile = LmEvalFamily().member("hf").profile(ModelRequest("model", str(tiny_base)))
    assert (profile.context_length, profile.count_tokens("1 + 2")) == (64, 4)
    served = LmEvalFamily().member("local-completions").profile(ModelRequest("model", "m"))
    assert (served.context_length, served.count_tokens("abcd")) == (2047, 2)
    with pytest.raises(ModelError, match="tokenizer=PATH"):
        served.render_chat([])


@pytest.mark.slow
def test_a_run_with_the_dummy_ends_with_results(harness, tmp_path):
    words = ["run", "--model", "dummy", "--sampler", "lm_eval:dummy", "--tasks", "countdown", "--limit", 2, "--k", 4]
    done = harness(*words, "--workers", 1, "--quiet", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "results.json").is_file()
