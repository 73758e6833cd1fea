"""What every sampler reads of a checkpoint: tokens of a prompt, end tokens, context, chat options."""

import json
import shutil

import pytest

from rlvr_harness import CheckpointProfile, ComparableProfile, ModelRequest, cut_at_stop, end_ids, with_stop_tokens


def profile(folder, **args):
    return CheckpointProfile(ModelRequest("model", str(folder), args))


def test_a_profile_is_comparable(tiny_model):
    assert isinstance(profile(tiny_model), ComparableProfile)


@pytest.mark.parametrize("args", [{}, {"add_bos_token": True}, {"add_bos_token": False}], ids=str)
@pytest.mark.parametrize("prompt", ["Make 4 from 1, 2.\n", "<s>Make 4 from 1, 2.\n", "12"])
def test_tokens_of_a_prompt_are_those_that_the_hf_sampler_feeds_its_model(tiny_model, open_model, args, prompt):
    fed, _ = open_model(tiny_model, args=args)._encode([prompt])
    assert profile(tiny_model, **args).token_ids(prompt) == fed[0].tolist()


def test_the_context_that_was_asked_for_is_taken_under_both_names(tiny_model):
    assert profile(tiny_model).context_length == 64
    assert profile(tiny_model, max_length=32).context_length == 32
    assert profile(tiny_model, max_model_len=48).context_length == 48
    assert profile(tiny_model, max_model_len="auto").context_length == 64


def test_thinking_is_switched_in_the_chat_template(tmp_path, tiny_model):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = "{{ messages[0].content }}{% if enable_thinking %}<think>{% endif %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    said = [{"role": "user", "content": "x"}]
    assert profile(folder).render_chat(said) == "x"
    assert profile(folder, enable_thinking=True).render_chat(said) == "x<think>"
    assert profile(folder, chat_template_args={"enable_thinking": True}).render_chat(said) == "x<think>"


def test_end_tokens_of_a_run_replace_the_declared_ones_that_have_a_text(tiny_model):
    tokenizer = profile(tiny_model).tokenizer
    one = tokenizer.convert_tokens_to_ids("1")
    outside = len(tokenizer) + 5
    assert end_ids((2, outside), None, tokenizer) == (2, outside)
    assert end_ids((2, outside), ("1", "no such token"), tokenizer) == tuple(sorted((one, outside)))


def test_a_stop_string_that_is_one_token_ends_a_text_as_a_token(tiny_model):
    tokenizer = profile(tiny_model).tokenizer
    one = tokenizer.convert_tokens_to_ids("1")
    assert with_stop_tokens((2,), ("1", "1 from 2"), tokenizer) == tuple(sorted((2, one)))


def test_a_text_is_cut_at_the_first_stop_string_of_several():
    assert cut_at_stop("a\n\nQ: b", ["Q:", "\n\n"]) == "a"
