"""The `hf` sampler on several devices, with adapters, and the memory that it gives back."""

import json
import os
import subprocess
import sys
import warnings
from collections import deque
from multiprocessing import Pipe

import pytest
import torch

from rlvr_harness import ModelError, ModelRequest, SamplingLaw
from rlvr_hf.memory import rows_that_fit
from rlvr_hf.sampler import HfSampler, devices_of

LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=12)
SPEC = ("--tasks", "countdown", "--limit", "6", "--k", "8", "--n", "8", "--threads", "1", "--quiet")
SMALL = ("--batch_size", "8", "--gen_kwargs", "max_gen_toks=8")


@pytest.fixture(scope="module")
def pair(open_model, tiny_model):
    """The same model on two "devices", each a process with one thread."""
    opened = HfSampler().open(ModelRequest("model", str(tiny_model), device="cpu,cpu", threads=1, batch_size=16))
    yield opened
    opened.close()


def test_two_devices_give_the_texts_of_one(pair, open_model, tiny_model, puzzle, request_for):
    one = open_model(tiny_model)
    for number in range(3):
        unit = (request_for(puzzle(number), range(12)),)
        assert pair.sample(unit, LAW) == one.sample(unit, LAW)
    assert (pair.facts.device, pair.rows_per_unit(20)) == ("cpu,cpu", 16)
    assert pair.facts.weight_hash == one.facts.weight_hash


class Units:
    """A source of units: `later` become ready only once the others are finished, as those that wait for verdicts."""

    def __init__(self, units, later=()):
        self.ready, self.later, self.refused = deque(units), deque(later), 0

    def take(self, wait):
        if not self.ready and not wait:
            self.refused += 1
        if not self.ready and wait:
            self.ready, self.later = self.later, deque()
        return self.ready.popleft() if self.ready else None


def test_units_go_to_whichever_device_is_free_and_come_back_whole(pair, open_model, tiny_model, puzzle, request_for):
    units = [(request_for(puzzle(number), range(3)), request_for(puzzle(number + 5), range(2))) for number in range(5)]
    source = Units(units[:4], units[4:])
    found = list(pair.sample_units(source, {"countdown": LAW}))
    one = open_model(tiny_model)
    assert sorted(found, key=str) == sorted((one.sample(unit, LAW) for unit in units), key=str)
    assert not source.ready and not source.later
    assert source.refused > 0


def test_both_devices_work_at_once(pair, puzzle, request_for):
    source = Units([(request_for(puzzle(number), range(8)),) for number in range(2)])
    stream = pair.sample_units(source, {"countdown": LAW})
    next(stream)
    assert not source.ready
    assert len(list(stream)) == 1


def test_an_error_of_a_device_is_told_with_its_name(pair, puzzle, request_for):
    unit = (request_for(puzzle(0), range(2)), request_for(puzzle(1, stop=("x",)), range(2)))
    with pytest.raises(ModelError, match=r"device cpu: task 'countdown': problems of one task must share"):
        pair.sample(unit, LAW)


def test_a_process_that_is_killed_is_an_error_that_names_its_device(tiny_model, puzzle, request_for):
    opened = HfSampler().open(ModelRequest("model", str(tiny_model), device="cpu,cpu", threads=1))
    try:
        for worker in opened._workers:
            worker.process.kill()
            worker.process.join()
        with pytest.raises(ModelError, match=r"device cpu: the process that samples there has ended .*exit code -9"):
            opened.sample((request_for(puzzle(0), range(2)),), LAW)
    finally:
        opened.close()


def test_a_model_that_does_not_open_on_a_device_leaves_no_process(tmp_path, tiny_model):
    import multiprocessing
    import shutil

    before = set(multiprocessing.active_children())
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"junk" * 10)
    with pytest.raises(ModelError, match=r"device cpu: .*damaged or cut short"):
        HfSampler().open(ModelRequest("model", str(folder), device="cpu,cpu", threads=1))
    assert set(multiprocessing.active_children()) == before


def test_beside_other_models_one_device_too_has_a_process_which_the_end_of_a_run_frees(tiny_model, puzzle, request_for):
    told, ending = Pipe(duplex=False)
    request = ModelRequest("model", str(tiny_model), device="cpu", threads=1, batch_size=16, beside=1)
    opened = HfSampler().open_beside(request, told)
    try:
        unit = (request_for(puzzle(0), range(12)),)
        (worker,) = opened._workers
        assert worker.process.pid != os.getpid()
        found, one = opened.sample(unit, LAW), HfSampler().open(request)
        assert found == one.sample(unit, LAW)
        assert (opened.facts, opened.rows_per_unit(20)) == (one.facts, 16)
        ending.close()
        with pytest.raises(ModelError, match="sampling was ended"):
            list(opened.sample_units(Units([unit]), {"countdown": LAW}))
        with pytest.raises(ModelError, match="sampling was ended"):
            HfSampler().open_beside(request, told)
    finally:
        opened.close()
        told.close()
    assert worker.process.exitcode is not None


def test_the_memory_of_a_cpu_is_shared_among_the_models_on_it(monkeypatch, open_model, tiny_model):
    model = open_model(tiny_model)._model
    config = model.config
    # keys and values of 2 layers x 2 heads x 8 numbers of 4 bytes = 256 bytes a token; 4 numbers of 8 bytes a token id
    per_row = 10 * 256 + 32 * config.vocab_size
    monkeypatch.setattr("rlvr_hf.memory.free_bytes", lambda device: 100 * per_row)
    assert [rows_that_fit(model, 10, beside) for beside in (0, 1, 4)] == [50, 25, 10]
    monkeypatch.setattr("rlvr_hf.memory.free_bytes", lambda device: 10**6 * per_row)
    assert rows_that_fit(model, 10, 1) == 1024


def test_devices_by_number_are_cuda_devices():
    assert devices_of("0,1") == ["cuda:0", "cuda:1"]
    assert devices_of("cpu") == ["cpu"]
    with pytest.raises(ModelError, match="names no device"):
        devices_of(" ,")


@pytest.mark.slow
def test_a_run_on_two_devices_ends_with_the_samples_of_a_run_on_one(tmp_path, harness, tiny_base, tiny_model):
    import pyarrow.dataset

    found = []
    for device in ("cpu", "cpu,cpu"):
        folder = tmp_path / device
        models = ("--model", tiny_model, "--base", tiny_base, "--devices", device, "-o", folder)
        done = harness("run", *models, *SPEC, *SMALL)
        assert done.returncode == 0, done.stderr
        rows = pyarrow.dataset.dataset(folder / "samples" / "countdown" / "model").to_table().to_pylist()
        found.append(sorted((row["problem_id"], row["index"], row["text"]) for row in rows))
        assert json.loads((folder / "run.json").read_text())["models"]["model"]["device"] == device
    assert found[0] == found[1]
    assert len(found[0]) == 48


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, tiny_base):
    """(folder of a LoRA adapter with random weights, folder of the checkpoint that it makes of `tiny_base`)."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(5)
    warnings.simplefilter("ignore", FutureWarning)  # peft uses names that transformers is about to drop
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base), config)
    folders = tmp_path_factory.mktemp("adapter"), tmp_path_factory.mktemp("merged")
    model.save_pretrained(folders[0])
    model.merge_and_unload().save_pretrained(folders[1])
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folders[1])
    return folders


def test_an_adapter_gives_the_texts_of_the_merged_checkpoint(adapter, open_model, tiny_base, puzzle, request_for):
    unit = (request_for(puzzle(0), range(16)),)
    base = open_model(tiny_base)
    added = open_model(tiny_base, args={"peft": str(adapter[0])})
    merged = open_model(adapter[1]).sample(unit, LAW)
    assert added.sample(unit, LAW) == merged
    assert [sample.text for sample in base.sample(unit, LAW)] != [sample.text for sample in merged]
    assert added.facts.weight_hash not in (None, base.facts.weight_hash)
    assert added.facts.parameters == base.facts.parameters


def test_an_adapter_that_is_missing_or_pickled_is_refused(adapter, tmp_path, tiny_base):
    def refuse(folder):
        with pytest.raises(ModelError) as caught:
            HfSampler().profile(ModelRequest("model", str(tiny_base), {"peft": str(folder)}))
        return str(caught.value)

    assert "no adapter_config.json" in refuse(tmp_path)
    (tmp_path / "adapter_config.json").write_text((adapter[0] / "adapter_config.json").read_text())
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    assert "has no adapter_model.safetensors" in refuse(tmp_path)


def test_an_adapter_of_another_model_is_refused(adapter, make_checkpoint):
    other = make_checkpoint(seed=1, hidden_size=48, num_attention_heads=4)
    with pytest.raises(ModelError, match="does not fit model"):
        HfSampler().open(ModelRequest("model", str(other), {"peft": str(adapter[0])}, device="cpu", threads=1))


RSS = """
import sys, psutil, torch
from rlvr_harness import ModelRequest
from rlvr_hf.sampler import HfSampler
def rss():
    return psutil.Process().memory_info().rss / 2**20
def opened(folder):
    model = HfSampler().open(ModelRequest("model", folder, device="cpu", threads=1))
    for weight in model._model.parameters():
        weight.add_(0)  # weights read from a mapped file become this process's own memory
    return model
with torch.no_grad():
    HfSampler().open(ModelRequest("model", sys.argv[2], device="cpu", threads=1)).close()
    before = rss()
    model = opened(sys.argv[1])
    one = rss()
    model.close()
    closed = rss()
    model = opened(sys.argv[1])
    print(before, one, closed, rss())
"""


def test_closing_a_model_gives_its_memory_back_before_the_next_is_opened(make_checkpoint, tiny_model):
    big = make_checkpoint(seed=3, hidden_size=1024, intermediate_size=4096, num_hidden_layers=4)  # 60 M: 240 MB
    found = subprocess.run(
        [sys.executable, "-c", RSS, str(big), str(tiny_model)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    before, one, closed, second = map(float, found.stdout.split())
    assert one - before > 200
    assert closed - before < 60
    assert second - before < one - before + 60
