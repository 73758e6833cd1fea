"""Engines of a real vLLM that are opened one after another in one process: adapters, end tokens, refusals, memory."""

import gc
import json
import shutil

import psutil
import pytest

from rlvr_harness import FinishReason, ModelError, SamplingLaw

LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=12)
GREEDY = SamplingLaw(temperature=0.0, top_p=1.0, max_gen_toks=24)
MB = 2**20


def drawn(model, *unit, law=LAW):
    """The samples of one unit, the engine closed after them."""
    try:
        return model.sample(unit, law)
    finally:
        model.close()


def refused(open_vllm, *args, **request):
    with pytest.raises(ModelError) as caught:
        open_vllm(*args, **request).close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoints_own_sampling_law_is_ignored_and_its_end_tokens_are_not(
    tmp_path, open_vllm, open_model, checkpoint, puzzle, request_for
):
    folder = shutil.copytree(checkpoint(1), tmp_path / "model")
    own = {"do_sample": True, "top_k": 1, "temperature": 0.01, "repetition_penalty": 5.0, "max_new_tokens": 2}
    unit = (request_for(puzzle(0), range(32)),)
    plain = drawn(open_vllm(checkpoint(1)), *unit)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, **own}))
    assert drawn(open_vllm(folder), *unit) == plain
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7, 5000], **own}))
    greedy = tuple(request_for(puzzle(number), (0,)) for number in range(12))
    opened = open_vllm(folder)
    assert opened.facts.eos_token_ids == (2, 7, 5000)
    found = drawn(opened, *greedy, law=GREEDY)
    assert found == open_model(folder).sample(greedy, GREEDY)
    assert found != open_model(checkpoint(1)).sample(greedy, GREEDY)


def test_only_the_end_tokens_of_the_run_end_a_text(open_vllm, open_model, checkpoint, puzzle, request_for):
    greedy = tuple(request_for(puzzle(number), (0,)) for number in range(12))
    found = drawn(open_vllm(checkpoint(1), eos_tokens=("1",)), *greedy, law=GREEDY)
    assert found == open_model(checkpoint(1), eos_tokens=("1",)).sample(greedy, GREEDY)
    assert found != open_model(checkpoint(1)).sample(greedy, GREEDY)
    assert FinishReason.STOP in {sample.finish_reason for sample in found}


def test_a_lora_adapter_is_applied_as_by_transformers(tmp_path, open_vllm, open_model, checkpoint, puzzle, request_for):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(checkpoint(1)), config).save_pretrained(tmp_path / "adapter")
    greedy = tuple(request_for(puzzle(number), (0,)) for number in range(8))
    plain = open_model(checkpoint(1))
    adapted = open_vllm(checkpoint(1), {"lora": str(tmp_path / "adapter")})
    assert adapted.facts.weight_hash != plain.facts.weight_hash
    found = drawn(adapted, *greedy, law=GREEDY)
    assert found == open_model(checkpoint(1), args={"peft": str(tmp_path / "adapter")}).sample(greedy, GREEDY)
    assert found != plain.sample(greedy, GREEDY)


def test_options_that_vllm_does_not_take_are_told_in_its_words(open_vllm, checkpoint):
    assert "unexpected keyword argument 'no_such_option'" in refused(open_vllm, checkpoint(1), {"no_such_option": 1})
    assert "max_model_len (4096)" in refused(open_vllm, checkpoint(1), {"max_model_len": 4096})
    assert "runs on cpu" in refused(open_vllm, checkpoint(1), device="cuda")


def test_a_cache_that_holds_no_sample_is_told_with_a_way_out(open_vllm, checkpoint):
    assert "lower max_model_len" in refused(open_vllm, checkpoint(1), {"kv_cache_memory_bytes": 1024})


def test_weights_that_are_pickled_or_damaged_are_refused(tmp_path, open_vllm, checkpoint):
    folder = shutil.copytree(checkpoint(1), tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"junk" * 10)
    assert "vllm cannot open model" in refused(open_vllm, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "--allow_pickle" in refused(open_vllm, folder)


def test_a_closed_model_gives_its_memory_back(open_vllm, checkpoint, puzzle, request_for):
    process = psutil.Process()
    cache = {"kv_cache_memory_bytes": 512 * MB}
    resident = []
    for seed in (1, 2, 1):
        gc.collect()
        before = process.memory_info().rss
        model = open_vllm(checkpoint(seed), cache)
        assert len(drawn_open(model, request_for(puzzle(0), range(8)))) == 8
        held = process.memory_info().rss - before
        model.close()
        resident.append(process.memory_info().rss)
        assert held > 400 * MB
    assert resident[2] - resident[0] < 64 * MB
    assert not process.children(recursive=True)


def drawn_open(model, *unit):
    return model.sample(unit, LAW)


def test_a_closed_model_says_so(open_vllm, checkpoint, puzzle, request_for):
    model = open_vllm(checkpoint(1))
    model.close()
    model.close()
    with pytest.raises(ModelError, match="is closed; open it again"):
        model.sample((request_for(puzzle(0), range(2)),), LAW)
