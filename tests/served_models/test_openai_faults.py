"""The `openai` sampler against a server that misbehaves: what is repeated, what is done without, what ends the run."""

import time

import pytest

from rlvr_harness import ModelError, ModelRequest, SamplingLaw
from rlvr_openai.sampler import OpenAISampler
from rlvr_openai.transport import LONGEST_RETRY_AFTER_S

SECRET = "sk-loopback-5f1c0a-secret"


def drawn(model, puzzle, request_for, law, problems=1, count=8):
    return model.sample(tuple(request_for(puzzle(number), range(count)) for number in range(problems)), law)


@pytest.mark.parametrize(
    "fault", ["drop", "500", "503", "truncated", "cut body", "no choices", "error inside", "aborted", "busy"]
)
def test_a_fault_that_passes_is_repeated_until_it_has_passed(
    serve, open_served, puzzle, request_for, law, faults, fault
):
    server = serve()
    whole = drawn(open_served(server), puzzle, request_for, law)
    server.behaviour.script += [faults[fault]] * 3
    assert drawn(open_served(server), puzzle, request_for, law) == whole


def test_a_pause_that_the_server_asks_for_is_kept(serve, open_served, puzzle, request_for, law, faults):
    server = serve(script=[faults["busy"]])
    before = time.monotonic()
    drawn(open_served(server), puzzle, request_for, law)
    assert time.monotonic() - before >= 0.2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("500", "failed 4 times in a row, last with: 500 boom"),
        ("truncated", "no JSON or was cut short"),
        ("drop", "failed 4 times in a row"),
        ("no choices", "without completions"),
    ],
)
def test_a_fault_that_stays_ends_the_run_in_one_line(serve, open_served, puzzle, request_for, law, faults, fault, says):
    server = serve(script=[faults[fault]] * 4)
    with pytest.raises(ModelError, match=says) as caught:
        drawn(open_served(server), puzzle, request_for, law)
    assert "\n" not in str(caught.value) and "resume" in str(caught.value)


def test_a_server_that_is_too_slow_is_named_with_the_limit(serve, open_served, puzzle, request_for, law):
    with pytest.raises(ModelError, match=r"no answer within 0\.05 s \(timeout=SECONDS"):
        drawn(open_served(serve(delay_s=0.3), timeout=0.05, max_retries=1), puzzle, request_for, law)


@pytest.mark.parametrize(
    ("fault", "says"), [("come back tomorrow", "pause of 86,400 s"), ("no credit", "no credit left")]
)
def test_a_quota_that_is_used_up_ends_the_run_at_once(
    serve, open_served, puzzle, request_for, law, faults, fault, says
):
    assert LONGEST_RETRY_AFTER_S < 86400
    with pytest.raises(ModelError, match=says):
        drawn(open_served(serve(script=[faults[fault]])), puzzle, request_for, law)


def test_no_server_is_one_line(open_served):
    closed = OpenAISampler()
    with pytest.raises(ModelError, match="see that it runs and can be reached"):
        closed.profile(ModelRequest("m", "tiny", args={"base_url": "http://127.0.0.1:9", "retry_wait": 0.0}))


def test_samples_that_came_before_the_fault_are_given_back(serve, open_served, puzzle, request_for, law, faults):
    from rlvr_openai.lane import ClosedWork

    server = serve()
    model = open_served(server, concurrency=1, max_retries=0)
    stream = model.stream(ClosedWork((request_for(puzzle(0), range(32)),)), law)
    kept = list(next(stream))
    server.behaviour.script += [faults["500"]] * 9
    with pytest.raises(ModelError, match="500 boom"):
        for batch in stream:
            kept += batch
    assert len(kept) >= 8


@pytest.mark.parametrize("most", [1, 3])
def test_completions_that_the_server_leaves_out_are_asked_for_again(serve, open_served, puzzle, request_for, law, most):
    samples = drawn(open_served(serve(most_choices=most)), puzzle, request_for, law)
    assert [sample.index for sample in samples] == list(range(8))
    assert len({sample.text for sample in samples}) == 8


@pytest.mark.parametrize("behaviour", [{"refuses": {"n": "n is not supported"}}, {"too_large_n": 1}])
def test_a_server_that_refuses_n_is_asked_for_each_sample_alone(
    serve, open_served, puzzle, request_for, law, behaviour
):
    server = serve(**behaviour)
    assert len({sample.text for sample in drawn(open_served(server), puzzle, request_for, law)}) == 8
    assert all("n" not in body for body in server.bodies[1:])


def test_n_copies_of_one_completion_are_noticed(serve, open_served, puzzle, request_for, law, caplog):
    samples = drawn(open_served(serve(seeds="copied")), puzzle, request_for, law)
    assert len({sample.text for sample in samples}) == 8
    assert "n copies of one completion" in caplog.text


@pytest.mark.parametrize("message", ["unexpected field 'top_k'", None])
def test_a_switched_off_parameter_that_is_refused_is_left_out_and_told(
    serve, open_served, puzzle, request_for, law, caplog, message
):
    server = serve(refuses={name: message and f"unexpected field '{name}'" for name in ("top_k", "min_p")})
    assert len(drawn(open_served(server), puzzle, request_for, law)) == 8
    assert not {"top_k", "min_p"} & set(server.bodies[-1]) and "repetition_penalty" in server.bodies[-1]
    assert "the server refuses min_p, top_k; not sent" in caplog.text


def test_a_parameter_that_matters_and_is_refused_ends_the_run(serve, open_served, puzzle, request_for):
    law = SamplingLaw(top_k=20, max_gen_toks=32)
    with pytest.raises(ModelError, match=r"refuses top_k=20.*--gen_kwargs top_k=0"):
        drawn(open_served(serve(refuses={"top_k": "unknown field: top_k"})), puzzle, request_for, law)


def test_a_model_that_only_has_its_own_temperature_cannot_be_sampled_otherwise(
    serve, open_served, puzzle, request_for, law
):
    refuses = {"temperature": "Unsupported value: 'temperature' does not support 0.6 with this model."}
    with pytest.raises(ModelError, match=r"refuses temperature=0\.6.*--gen_kwargs temperature=1 for all models"):
        drawn(open_served(serve(refuses=refuses)), puzzle, request_for, law)
    assert len(drawn(open_served(serve(refuses=refuses)), puzzle, request_for, SamplingLaw(1.0, max_gen_toks=32))) == 8


def test_the_newer_name_of_the_budget_is_found(serve, open_served, puzzle, request_for, law):
    refuses = {"max_tokens": "Unsupported parameter: use 'max_completion_tokens' instead."}
    server = serve(refuses=refuses)
    assert len(drawn(open_served(server), puzzle, request_for, law)) == 8
    assert server.bodies[-1]["max_completion_tokens"] == 32


def test_refused_seeds_are_not_sent(serve, open_served, puzzle, request_for, law, caplog):
    server = serve(refuses={"seed": "seed is not supported"})
    assert len({sample.text for sample in drawn(open_served(server), puzzle, request_for, law)}) == 8
    assert "seed" not in server.bodies[-1] and "refuses seeds" in caplog.text


def test_ignored_seeds_are_fine(serve, open_served, puzzle, request_for, law):
    assert len(drawn(open_served(serve(seeds="ignored")), puzzle, request_for, law, problems=3)) == 24


@pytest.mark.parametrize("shape", [(1, 64), (4, 16), (8, 4)])
def test_a_constant_seed_ends_the_run_before_a_sample_is_given_back(
    serve, open_served, puzzle, request_for, law, shape
):
    problems, count = shape
    per_request = {"n_per_request": 1 if count < 8 else 4}
    model = open_served(serve(seeds="constant"), **per_request)
    from rlvr_openai.lane import ClosedWork

    work = tuple(request_for(puzzle(number), range(count)) for number in range(problems))
    stream = model.stream(ClosedWork(work), law)
    with pytest.raises(ModelError, match="same answer to every request at temperature > 0"):
        next(stream)


def test_a_confident_model_is_no_constant_seed(serve, open_served, puzzle, request_for, law):
    """The fake's answers to the task's prompts are all alike, those to the trial's prompts are not."""
    server = serve(seeds="ignored")
    plain = server.completion

    def confident(path, body, prompt):
        answer = plain(path, body, prompt)
        for row in answer["choices"]:
            row["text"] = "7" if prompt == puzzle(0).prompt else row["text"]
        return answer

    server.completion = confident
    assert len(drawn(open_served(server), puzzle, request_for, law, count=64)) == 64


def test_a_wrong_key_names_its_variable_and_not_itself(serve, open_served, puzzle, request_for, law, monkeypatch):
    monkeypatch.setenv("LOOPBACK_KEY", SECRET)
    model = open_served(serve(key="another"), api_key_env="LOOPBACK_KEY")
    with pytest.raises(ModelError, match=r"variable LOOPBACK_KEY, which was refused") as caught:
        drawn(model, puzzle, request_for, law)
    assert SECRET not in str(caught.value) and "[key]" in str(caught.value)


def test_a_missing_key_names_the_variable(serve, open_served, puzzle, request_for, law):
    with pytest.raises(ModelError, match=r"variable OPENAI_API_KEY, which is not set"):
        drawn(open_served(serve(key=SECRET)), puzzle, request_for, law)
    with pytest.raises(ModelError, match="NO_SUCH_KEY, named by api_key_env, is not set"):
        open_served(serve(), api_key_env="NO_SUCH_KEY")


def test_a_right_key_is_sent(serve, open_served, puzzle, request_for, law, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    model = open_served(serve(key=SECRET))
    assert len(drawn(model, puzzle, request_for, law)) == 8


def test_a_wrong_model_name_lists_those_served(serve, open_served, puzzle, request_for, law):
    with pytest.raises(ModelError, match="asked for model 'tinny', models served: tiny"):
        drawn(open_served(serve(), model="tinny"), puzzle, request_for, law)


def test_a_prompt_that_is_too_long_is_named(serve, open_served, puzzle, request_for, law):
    short, long = sorted((puzzle(0), puzzle(2)), key=lambda problem: len(problem.prompt))
    model = open_served(serve(longest_prompt=len(short.prompt)))
    with pytest.raises(ModelError, match=f"problem '{long.problem_id}': prompt and budget do not fit"):
        model.sample((request_for(short, range(4)), request_for(long, range(4))), law)


def test_counts_without_usage_are_estimates_that_are_told(serve, open_served, puzzle, request_for, law, caplog):
    samples = drawn(open_served(serve(usage=False)), puzzle, request_for, law)
    assert all(sample.n_tokens > 0 for sample in samples)
    assert "estimated from the length of the text" in caplog.text
