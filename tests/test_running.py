import shlex

from rlvr_harness.run_spec import parse_pairs, parse_spec
from rlvr_harness.running import command_of


def pairs_of(spec, flag):
    words = shlex.split(command_of(spec))
    return parse_pairs(words[words.index(flag) + 1])


def test_the_command_to_repeat_a_run_gives_the_engine_the_same_arguments():
    nested = {"base_url": "http://localhost:8000", "extra_body": {"guided": [1, 2]}, "stop": "a,b", "n_per_request": 4}
    spec = parse_spec({"model": "m", "k": 8, "model_args": nested, "gen_kwargs": "temperature=0.7,max_gen_toks=9"})
    assert pairs_of(spec, "--model_args") == nested
    assert pairs_of(spec, "--gen_kwargs") == {"temperature": 0.7, "max_gen_toks": 9}


def test_words_that_a_shell_would_take_apart_are_quoted():
    spec = parse_spec({"model": "a b", "k": 8, "model_args": "revision=x y"})
    assert shlex.split(command_of(spec))[3] == "a b"
    assert pairs_of(spec, "--model_args") == {"revision": "x y"}
