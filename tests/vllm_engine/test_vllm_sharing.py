"""A base and its adapters on one engine of a real vLLM, and engines side by side."""

import psutil
import pytest

from rlvr_harness import ModelRequest, SamplingLaw
from rlvr_vllm.sampler import VllmSampler

GREEDY = SamplingLaw(temperature=0.0, top_p=1.0, max_gen_toks=24)
LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=12)
SMALL = {"dtype": "float32", "max_num_seqs": 64, "kv_cache_memory_bytes": 2**28, "enforce_eager": True}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory, checkpoint):
    """Folders of two adapters of one base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folders = []
    for rank in (4, 12):
        torch.manual_seed(rank)
        config = LoraConfig(r=rank, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        folder = tmp_path_factory.mktemp("adapter")
        get_peft_model(AutoModelForCausalLM.from_pretrained(checkpoint(1)), config).save_pretrained(folder)
        folders.append(str(folder))
    return folders


def asked(checkpoint, role, **args):
    return ModelRequest(role, str(checkpoint(1)), {**SMALL, **args}, threads=1)


def test_a_base_and_two_adapters_share_one_engine(adapters, open_model, checkpoint, puzzle, request_for):
    requests = [
        asked(checkpoint, "base"),
        asked(checkpoint, "model", lora=adapters[0]),
        asked(checkpoint, "other", lora=adapters[1]),
    ]
    # All of the prompt's blocks but the last are taken from the prefix cache, where that does not keep adapters apart.
    unit = tuple(request_for(puzzle(number), (0,)) for number in range(8))
    found, facts = {}, {}
    with VllmSampler().sharing(requests) as sampler:
        for request in (*requests, requests[0]):
            model = sampler.open(request)
            texts = [sample.text for sample in model.sample(unit, GREEDY)]
            assert found.setdefault(request.role, texts) == texts
            facts[request.role] = model.facts
            model.close()
        assert sampler._host.started == 1
    own = {"base": {}, "model": {"peft": adapters[0]}, "other": {"peft": adapters[1]}}
    for role, args in own.items():
        expected = open_model(checkpoint(1), args=args).sample(unit, GREEDY)
        assert found[role] == [sample.text for sample in expected], role
    assert len({tuple(texts) for texts in found.values()}) == 3
    assert len({each.weight_hash for each in facts.values()}) == 3
    assert facts["base"].weight_hash == open_model(checkpoint(1)).facts.weight_hash
    assert sampler._host is None


def test_two_engines_give_the_samples_of_one(open_vllm, checkpoint, puzzle, request_for):
    unit = tuple(request_for(puzzle(number), range(16)) for number in range(10))
    alone = open_vllm(checkpoint(1))
    expected = alone.sample(unit, LAW)
    alone.close()
    pair = open_vllm(checkpoint(1), device="cpu,cpu")
    assert pair.facts.device == "cpu,cpu"
    assert pair.sample(unit, LAW) == expected
    pair.close()
    left = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    # Python's own helper for spawned processes stays until the interpreter ends.
    assert not [command for command in left if "resource_tracker" not in command]
