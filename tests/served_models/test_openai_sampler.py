"""The `openai` sampler against a server on loopback that behaves: what is sent, and what comes back."""

import json
import threading
from collections import deque

import pytest

from rlvr_harness import FinishReason, ModelError, ModelRequest, SamplingLaw, UsageError
from rlvr_openai.lane import split
from rlvr_openai.sampler import OpenAISampler

GREEDY = SamplingLaw(temperature=0.0, top_p=1.0, max_gen_toks=32)


def texts(samples):
    return {(sample.problem_id, sample.index): sample.text for sample in samples}


def keys(samples):
    return sorted((sample.problem_id, sample.index) for sample in samples)


def wanted(*requests):
    return sorted((request.problem.problem_id, index) for request in requests for index in request.indices)


def real(bodies, law):
    """Bodies of the samples' own requests, not of the short ones before them."""
    return [body for body in bodies if law.max_gen_toks in (body.get("max_tokens"), body.get("max_completion_tokens"))]


def test_every_sample_asked_for_comes_back_once_with_its_seed(serve, open_served, puzzle, request_for, law):
    work = (request_for(puzzle(0), range(10)), request_for(puzzle(1), range(3, 9)))
    samples = open_served(serve()).sample(work, law)
    assert keys(samples) == wanted(*work)
    assert [sample.seed for sample in samples] == [seed for request in work for seed in request.seeds]


def test_the_whole_law_is_sent_with_every_request(serve, open_served, puzzle, request_for, law):
    server = serve()
    open_served(server).sample((request_for(puzzle(0, stop=("\n\n",)), range(8)),), law)
    sent = real(server.bodies, law)
    assert len(sent) == 2
    for body in sent:
        assert body["model"] == "tiny" and body["n"] == 4 and body["prompt"] == puzzle(0).prompt
        assert (body["temperature"], body["top_p"], body["max_tokens"], body["stop"]) == (0.6, 0.95, 32, ["\n\n"])
        assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (-1, 0.0, 1.0)
    assert len({body["seed"] for body in sent}) == 2


def test_16_samples_are_the_first_of_64(serve, open_served, puzzle, request_for, law):
    model = open_served(serve())
    few = model.sample((request_for(puzzle(0), range(16)),), law)
    many = model.sample((request_for(puzzle(0), range(64)),), law)
    assert texts(many[:16]) == texts(few)
    assert len({sample.text for sample in many}) > 32


def test_requests_are_cut_at_multiples_of_n_and_at_gaps(puzzle, request_for):
    request = request_for(puzzle(0), (6, 7, 8, 9, 12, 13))
    assert [ask.indices for ask in split(request, 8)] == [(6, 7), (8, 9), (12, 13)]
    assert [ask.seeds[0] for ask in split(request, 8)] == [request.seeds[0], request.seeds[2], request.seeds[4]]


def test_no_more_requests_are_under_way_than_asked_for(serve, open_served, puzzle, request_for, law):
    server = serve(delay_s=0.02)
    work = tuple(request_for(puzzle(number), range(16)) for number in range(4))
    open_served(server, concurrency=3).sample(work, law)
    assert server.most_at_once == 3


@pytest.mark.parametrize("given", ["{}", "{}/", "{}/v1", "{}/v1/", "{}/v1/completions"])
def test_the_address_may_be_given_in_any_form(serve, puzzle, request_for, law, given, open_served):
    server = serve()
    samples = open_served(server, base_url=given.format(server.url)).sample((request_for(puzzle(0), range(2)),), law)
    assert len(samples) == 2


def test_token_counts_add_up_to_the_usage_of_the_request(serve, open_served, puzzle, request_for, law):
    samples = open_served(serve()).sample((request_for(puzzle(0), range(4)),), law)
    assert sum(sample.n_tokens for sample in samples) == sum(len(sample.text.split()) for sample in samples)


def test_log_probabilities_give_exact_counts_and_sums(serve, open_served, puzzle, request_for, law):
    for sample in open_served(serve(), logprobs=True).sample((request_for(puzzle(0), range(4)),), law):
        words = len(sample.text.split())
        assert (sample.n_tokens, sample.logprob_sum) == (words, pytest.approx(-0.5 * words))


@pytest.mark.parametrize(
    ("said", "reason"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "error"), ("eos_token", "stop"), (None, "stop")],
)
def test_reasons_to_end(serve, open_served, puzzle, request_for, law, said, reason):
    samples = open_served(serve(finish_reason=said)).sample((request_for(puzzle(0), range(2)),), law)
    assert {sample.finish_reason for sample in samples} == {FinishReason(reason)}


def test_a_stop_string_left_in_the_text_is_cut_off(serve, open_served, puzzle, request_for, law):
    samples = open_served(serve(finish_reason="length")).sample((request_for(puzzle(0, stop=(" ",)), range(8)),), law)
    assert all(" " not in sample.text and sample.finish_reason is FinishReason.STOP for sample in samples)


def test_at_temperature_0_equal_answers_are_nothing_odd(serve, open_served, puzzle, request_for):
    samples = open_served(serve(seeds="constant")).sample((request_for(puzzle(0), range(32)),), GREEDY)
    assert len(samples) == 32


def test_a_chat_server_is_sent_messages(serve, open_served, puzzle, request_for, law):
    server = serve()
    profile = OpenAISampler().profile(ModelRequest("m", "tiny", args={"base_url": server.url, "endpoint": "chat"}))
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": 'say "q"\n'}]
    problem = puzzle(0)
    rendered = type(problem)(problem.task, problem.problem_id, profile.render_chat(messages), "")
    samples = open_served(server, endpoint="chat").sample((request_for(rendered, range(4)),), law)
    assert len({sample.text for sample in samples}) > 1
    assert real(server.bodies, law)[0]["messages"] == messages
    assert profile.count_tokens(rendered.prompt) > 0


def test_a_plain_prompt_is_one_message_of_the_user(serve, open_served, puzzle, request_for, law):
    server = serve()
    open_served(server, endpoint="chat").sample((request_for(puzzle(0), range(1)),), law)
    assert real(server.bodies, law)[0]["messages"] == [{"role": "user", "content": puzzle(0).prompt}]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"reasoning_content": "hm", "content": "7"}, "<think>\nhm\n</think>\n\n7"),
        ({"reasoning": "hm", "content": None}, "<think>\nhm"),
        ({"content": [{"type": "text", "text": "7"}]}, "7"),
        ({"content": None, "refusal": "no"}, "no"),
        ({"content": None}, ""),
    ],
)
def test_reasoning_stands_before_the_answer(serve, open_served, puzzle, request_for, law, message, text):
    model = open_served(serve(message=message), endpoint="chat", n_per_request=1)
    assert [sample.text for sample in model.sample((request_for(puzzle(0), range(2)),), law)] == [text, text]


class Source:
    """Work that appears only when the samples before it have been given back, as a sequential plan's."""

    def __init__(self, requests):
        self.ready, self.later, self.given, self.thread = deque(requests[:1]), deque(requests[1:]), 0, set()

    def take(self, wait):
        self.thread.add(threading.current_thread())
        if not self.ready and wait and self.later and self.given:
            self.ready.append(self.later.popleft())
            self.given = 0
        return self.ready.popleft() if self.ready else None


def test_streaming_goes_on_with_work_that_appears_later(serve, open_served, puzzle, request_for, law):
    requests = [request_for(puzzle(number), range(6)) for number in range(3)]
    source, found = Source(requests), []
    for batch in open_served(serve()).stream(source, law):
        source.given += len(batch)
        found += batch
    assert keys(found) == wanted(*requests)
    assert source.thread == {threading.current_thread()}


def test_a_stream_that_is_left_early_sends_nothing_more(serve, open_served, puzzle, request_for, law):
    server = serve()
    model = open_served(server, concurrency=2)
    work = tuple(request_for(puzzle(number), range(64)) for number in range(4))
    from rlvr_openai.lane import ClosedWork

    stream = model.stream(ClosedWork(work), law)
    next(stream)
    stream.close()
    model.close()
    assert len(server.bodies) < 64


def test_the_context_comes_from_the_server_or_the_user(serve, caplog):
    server, silent = serve(context=128), serve(context=None)

    def context(server, **args):
        return OpenAISampler().profile(ModelRequest("m", "tiny", args={"base_url": server.url, **args})).context_length

    assert (context(server), context(server, max_length=64), context(silent, max_length=64)) == (128, 64, 64)
    assert "max_length=TOKENS" not in caplog.text
    assert context(silent) is None
    assert "max_length=TOKENS" in caplog.text


def test_a_tokenizer_counts_and_renders(serve, tiny_base):
    args = {"base_url": serve().url, "tokenizer": str(tiny_base)}
    profile = OpenAISampler().profile(ModelRequest("m", "tiny", args=args))
    assert profile.count_tokens("1 + 2") == 4  # begin token, "1", "+", "2"
    assert profile.chat_template_hash is None
    with pytest.raises(ModelError, match="no chat template"):
        profile.render_chat([{"role": "user", "content": "q"}])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "needs --model_args base_url="),
        ({"base_url": "ftp://h"}, "no address"),
        ({"base_url": "http://u:secret@h/v1"}, "holds a password"),
        ({"base_url": "http://h/v1?key=secret"}, "holds a password or a query"),
        ({"base_url": "http://h", "api_key": "secret"}, "would be written to run.json"),
        ({"base_url": "http://h", "endpoint": "talk"}, "completions and chat"),
        ({"base_url": "http://h", "concurrency": 0}, "whole number from 1 on"),
        ({"base_url": "http://h", "concurency": 4}, "no argument 'concurency'"),
        ({"base_url": "http://h", "extra_body": {"top_k": 3}}, "'top_k' is decided by the run"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line_without_secrets(args, says):
    with pytest.raises(UsageError, match=says) as caught:
        OpenAISampler().profile(ModelRequest("m", "tiny", args=args))
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_cost_is_told_at_the_end_and_what_was_used_before(serve, open_served, puzzle, request_for, law, caplog):
    server = serve()
    model = open_served(server, price_in=1_000_000, price_out=0)
    found = model.sample((request_for(puzzle(0), range(4)),), law)
    used = model.usage()
    model.close()
    # The prompt is sent twice: to find out what the server takes, and for the samples.
    tokens = 2 * len(puzzle(0).prompt.split())
    assert f"{tokens} prompt" in caplog.text and f"cost {tokens}.0000" in caplog.text
    assert (used["requests"], used["repeated"], used["prompt_tokens"], used["uncounted"]) == (2, 0, tokens, 0)
    assert used["completion_tokens"] > sum(sample.n_tokens for sample in found)
    assert used["cost"] == tokens
    assert len(server.bodies) == 2


def test_use_has_no_cost_without_prices_and_tells_what_was_not_counted(serve, open_served, puzzle, request_for, law):
    model = open_served(serve(usage=False))
    model.sample((request_for(puzzle(0), range(4)),), law)
    used = {"requests": 2, "repeated": 0, "prompt_tokens": 0, "completion_tokens": 0, "uncounted": 2}
    assert model.usage() == used
    assert any("reports no token counts" in note for note in model.law_notes())


def test_what_is_left_out_of_requests_is_noted(serve, open_served, puzzle, request_for, law):
    model = open_served(serve(refuses={"top_k": "unknown field 'top_k'"}))
    assert model.law_notes() == []
    model.sample((request_for(puzzle(0), range(4)),), law)
    assert [note for note in model.law_notes() if note.startswith("the server refuses top_k; not sent, since off")]


def test_extra_fields_and_template_arguments_are_sent(serve, open_served, puzzle, request_for, law):
    server = serve()
    extra = {"extra_body": {"reasoning_effort": "low"}, "chat_template_args": {"enable_thinking": False}}
    open_served(server, endpoint="chat", **extra).sample((request_for(puzzle(0), range(1)),), law)
    sent = real(server.bodies, law)[0]
    assert (sent["reasoning_effort"], sent["chat_template_kwargs"]) == ("low", {"enable_thinking": False})
    assert json.dumps(sent)
