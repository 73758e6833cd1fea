"""What a sample of a real vLLM may and may not depend on, and that it obeys a law as the `hf` sampler does."""

import math
from collections import Counter

import pytest

from rlvr_harness import FinishReason, ModelError, Problem, SamplingLaw

LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=12)
GREEDY = SamplingLaw(temperature=0.0, top_p=1.0, max_gen_toks=24)


@pytest.fixture(scope="module")
def opened(open_vllm, checkpoint):
    model = open_vllm(checkpoint(1), {"logprobs": True})
    yield model
    model.close()


@pytest.fixture(scope="module")
def hf(open_model, checkpoint):
    return open_model(checkpoint(1))


def texts(samples):
    return {(sample.problem_id, sample.index): sample.text for sample in samples}


class Stages:
    """Asks for `sizes[0]` samples of each problem, and for more once all of those have come back."""

    def __init__(self, problems, request_for, sizes):
        self.problems, self.request_for, self.sizes = problems, request_for, list(sizes)
        self.ready, self.due, self.had = [], 0, 0

    def take(self, wait):
        if not self.ready and not self.due and self.sizes:
            size = self.sizes.pop(0)
            self.ready = [self.request_for(problem, range(self.had, size)) for problem in self.problems]
            self.due = (size - self.had) * len(self.problems)
            self.had = size
        assert not (wait and self.due and not self.ready)
        return self.ready.pop(0) if self.ready else None

    def run(self, model, law):
        found = []
        for some in model.stream(self, law):
            self.due -= len(some)
            found += some
        return found


def test_samples_do_not_depend_on_the_stages_or_on_n(opened, puzzle, request_for):
    problems = [puzzle(number) for number in range(3)]
    at_once = Stages(problems, request_for, [96]).run(opened, LAW)
    in_stages = Stages(problems, request_for, [16, 32, 96]).run(opened, LAW)
    fewer = Stages(problems, request_for, [40]).run(opened, LAW)
    assert len(at_once) == len(in_stages) == 3 * 96
    assert texts(at_once) == texts(in_stages)
    assert texts(fewer) == {key: text for key, text in texts(at_once).items() if key[1] < 40}


def test_a_closed_unit_gives_the_samples_of_the_stream_in_the_order_asked_for(opened, puzzle, request_for):
    unit = (request_for(puzzle(1), (7, 3)), request_for(puzzle(0), range(20)))
    found = opened.sample(unit, LAW)
    assert [(s.problem_id, s.index) for s in found] == [("p1", 7), ("p1", 3), *(("p0", index) for index in range(20))]
    assert [s.seed for s in found] == [*unit[0].seeds, *unit[1].seeds]
    assert {(s.task, s.model) for s in found} == {("countdown", "model")}
    streamed = Stages([puzzle(0)], request_for, [20]).run(opened, LAW)
    assert texts(found[2:]) == texts(streamed)


def test_distinct_seeds_give_distinct_texts(opened, puzzle, request_for):
    found = opened.sample((request_for(puzzle(0), range(128)),), LAW)
    assert len({sample.seed for sample in found}) == 128
    assert len({sample.text for sample in found}) == 128


def test_equal_prompts_of_two_problems_give_different_texts(opened, puzzle, request_for):
    first = puzzle(0)
    second = Problem(first.task, "twin", first.prompt, "")
    found = opened.sample((request_for(first, range(32)), request_for(second, range(32))), LAW)
    assert not {sample.text for sample in found[:32]} & {sample.text for sample in found[32:]}


def test_one_seed_gives_one_text(opened, puzzle, request_for):
    first = puzzle(0)
    second = Problem(first.task, "twin", first.prompt, "")
    asked = request_for(first, range(8))
    same = type(asked)(second, asked.indices, asked.seeds)
    found = opened.sample((asked, same), LAW)
    assert [sample.text for sample in found[:8]] == [sample.text for sample in found[8:]]


def test_how_a_text_ended_is_told(opened, puzzle, request_for):
    found = opened.sample((request_for(puzzle(0), range(256)),), LAW)
    ended = [sample for sample in found if sample.finish_reason is FinishReason.STOP]
    cut = [sample for sample in found if sample.finish_reason is FinishReason.LENGTH]
    assert ended and cut and len(ended) + len(cut) == 256
    assert {sample.n_tokens for sample in cut} == {12}
    assert all(1 <= sample.n_tokens <= 12 for sample in ended)


def test_greedy_texts_are_those_of_the_hf_sampler(opened, hf, puzzle, request_for):
    unit = tuple(request_for(puzzle(number), (0,)) for number in range(12))
    assert opened.sample(unit, GREEDY) == hf.sample(unit, GREEDY)


@pytest.mark.parametrize("stop", [("1",), (", ", "1 from"), (".\n", "Make 1"), ("=", "3")])
def test_stop_strings_are_obeyed_as_by_the_hf_sampler(opened, hf, puzzle, request_for, stop):
    unit = tuple(request_for(puzzle(number, stop=stop), (0,)) for number in range(12))
    found = opened.sample(unit, GREEDY)
    assert found == hf.sample(unit, GREEDY)
    assert not any(each in sample.text for sample in found for each in stop)


def test_a_stop_string_cuts_the_text_before_it(opened, puzzle, request_for):
    free = opened.sample((request_for(puzzle(0), range(64)),), LAW)
    stopped = opened.sample((request_for(puzzle(0, stop=("1",)), range(64)),), LAW)
    assert [sample.text for sample in stopped] == [sample.text.split("1")[0] for sample in free]
    cut = [after for before, after in zip(free, stopped, strict=True) if "1" in before.text]
    assert cut and {sample.finish_reason for sample in cut} == {FinishReason.STOP}


def first_token_law(hf, prompt, law):
    """softmax(logits / T) on the smallest set of likeliest tokens whose mass reaches top_p, in double precision."""
    import torch

    ids = hf._tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = hf._model(input_ids=ids).logits[0, -1].double()
    chances, order = torch.softmax(logits / law.temperature, dim=0).sort(descending=True)
    kept = chances * (chances.cumsum(0) - chances < law.top_p)
    return torch.zeros_like(kept).scatter(0, order, kept / kept.sum())


@pytest.mark.parametrize(("temperature", "top_p"), [(0.6, 0.95), (1.0, 1.0)])
def test_first_tokens_follow_the_sampling_law(opened, hf, puzzle, request_for, temperature, top_p):
    # The seeds are fixed, so the statistic is one number; a right sampler exceeds mean + 5 deviations once in 10^5.
    law = SamplingLaw(temperature=temperature, top_p=top_p, max_gen_toks=1)
    chances = first_token_law(hf, puzzle(0).prompt, law)
    drawn = Counter(sample.text for sample in opened.sample((request_for(puzzle(0), range(4096)),), law))
    expected = Counter()
    for token, chance in enumerate(chances.tolist()):
        if chance:
            expected[hf._tokenizer.decode([token], skip_special_tokens=True)] += 4096 * chance
    assert not set(drawn) - set(expected)
    big = [text for text, count in expected.items() if count >= 5]
    rest = 4096 - sum(expected[text] for text in big)
    statistic = sum((drawn[text] - expected[text]) ** 2 / expected[text] for text in big)
    if rest > 1e-6:
        statistic += (4096 - sum(drawn[text] for text in big) - rest) ** 2 / rest
    assert len(big) > 5
    assert statistic < len(big) + 5 * math.sqrt(2 * len(big))


def test_log_probabilities_are_those_of_the_law(opened, hf, puzzle, request_for):
    law = SamplingLaw(temperature=0.6, top_p=0.95, max_gen_toks=1)
    chances = first_token_law(hf, puzzle(0).prompt, law)
    for sample in opened.sample((request_for(puzzle(0), range(32)),), law):
        if sample.text:
            token = hf._tokenizer.convert_tokens_to_ids(sample.text)
            assert sample.logprob_sum == pytest.approx(math.log(chances[token]), abs=1e-3)


def test_top_k_of_one_leaves_the_greedy_text(opened, puzzle, request_for):
    greedy = opened.sample((request_for(puzzle(0), (0,)),), GREEDY)
    law = SamplingLaw(temperature=1.0, top_p=1.0, top_k=1, max_gen_toks=24)
    assert {sample.text for sample in opened.sample((request_for(puzzle(0), range(8)),), law)} == {greedy[0].text}


def test_a_prompt_that_leaves_no_room_is_refused_before_it_is_drawn(opened, puzzle, request_for):
    law = SamplingLaw(max_gen_toks=127)
    with pytest.raises(
        ModelError, match=r"problem p0: its prompt of \d+ tokens and max_gen_toks=127 exceed the engine"
    ):
        opened.sample((request_for(puzzle(0), range(2)),), law)
    assert len(opened.sample((request_for(puzzle(0), range(2)),), LAW)) == 2


def test_a_stream_that_is_left_early_leaves_the_engine_usable(opened, puzzle, request_for):
    stream = opened.stream(Stages([puzzle(2)], request_for, [300]), LAW)
    next(stream)
    stream.close()
    assert not opened._llm.llm_engine.has_unfinished_requests()
    found = opened.sample((request_for(puzzle(0), range(8)),), LAW)
    assert len({sample.text for sample in found}) == 8


def test_facts_are_those_of_the_hf_sampler(opened, hf):
    for name in ("revision", "weight_hash", "dtype", "device", "eos_token_ids"):
        assert getattr(opened.facts, name) == getattr(hf.facts, name)
