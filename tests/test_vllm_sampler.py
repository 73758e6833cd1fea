"""The `vllm` sampler without vLLM: its options, its errors, and how it keeps an engine full."""

import importlib.util
import json
import random
import sys
from dataclasses import dataclass

import pytest

from rlvr_harness import FinishReason, ModelError, ModelRequest, Problem, Sample, Sampler
from rlvr_vllm.adapters import adapter_rank, combined_hash
from rlvr_vllm.engine import require_vllm
from rlvr_vllm.failures import engine_failure
from rlvr_vllm.options import check_device, engine_options
from rlvr_vllm.sampler import VllmSampler
from rlvr_vllm.streaming import ClosedWork, EngineInput, Flight


def request(path="model", **fields):
    return ModelRequest("model", path, **fields)


def options(**args):
    return engine_options(request(args=args))


def refusal(**fields):
    with pytest.raises(ModelError) as caught:
        engine_options(request(**fields))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Options


def test_names_of_lm_eval_reach_the_engine_as_they_are():
    given_ = {"dtype": "bfloat16", "tensor_parallel_size": 2, "gpu_memory_utilization": 0.8, "max_num_seqs": 64}
    arguments = options(**given_, enforce_eager=True, quantization="awq").arguments
    assert {name: arguments[name] for name in given_} == given_
    assert (arguments["enforce_eager"], arguments["quantization"]) == (True, "awq")


def test_what_the_engine_is_given_in_any_case():
    arguments = options(pretrained="other").arguments
    assert arguments == {
        "model": "model",
        "generation_config": "vllm",
        "disable_log_stats": True,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "enable_prefix_caching": True,
        "use_tqdm_on_load": False,
    }


def test_a_name_that_is_unknown_is_left_to_vllm():
    assert options(no_such_option=1).arguments["no_such_option"] == 1


def test_what_lm_eval_calls_otherwise_is_translated():
    assert options(max_length=512).arguments["max_model_len"] == 512
    assert options(max_batch_size=7).arguments["max_num_seqs"] == 7
    assert engine_options(request(batch_size=9)).arguments["max_num_seqs"] == 9
    assert options(revision="abc").arguments["tokenizer_revision"] == "abc"


def test_what_the_profile_reads_is_kept_from_the_engine():
    read = {"add_bos_token": True, "chat_template_args": {"a": 1}, "enable_thinking": False}
    assert not set(read) & set(options(**read).arguments)


@pytest.mark.parametrize("name", ["generation_config", "override_generation_config", "logprobs_mode", "model"])
def test_what_would_change_the_law_cannot_be_set(name):
    assert refusal(args={name: "auto"}).startswith(f"--model_args {name}: cannot be set; ")


def test_vllms_own_data_parallelism_is_refused_with_a_way_out():
    assert "--devices 0,1 for one engine each" in refusal(args={"data_parallel_size": 2})
    assert options(data_parallel_size=1).arguments["data_parallel_size"] == 1


def test_log_probabilities_are_those_of_the_law():
    assert options(logprobs=True).arguments["logprobs_mode"] == "processed_logprobs"
    assert "logprobs_mode" not in options(logprobs=False).arguments


@pytest.mark.parametrize("load_format", ["pt", "hf", "npcache"])
def test_pickled_weights_need_trust(load_format):
    assert "--allow_pickle" in refusal(args={"load_format": load_format})
    trusted = engine_options(request(args={"load_format": load_format}, allow_pickle=True))
    assert trusted.arguments["load_format"] == load_format


def test_vllm_does_not_fall_back_to_pickled_weights():
    assert options(load_format="auto").arguments["load_format"] == "safetensors"
    assert engine_options(request(allow_pickle=True)).arguments["load_format"] == "auto"


@pytest.mark.parametrize("name", ["lora", "lora_local_path"])
def test_an_adapter_has_two_names_and_an_empty_one_is_none(name):
    assert str(options(**{name: "folder"}).adapter) == "folder"
    assert options(**{name: ""}).adapter is None
    assert name not in options(**{name: "folder"}).arguments


# Devices


def test_a_device_that_the_build_does_not_drive_is_refused():
    with pytest.raises(ModelError, match=r"--device cuda: this build of vllm \(0.32.0\) runs on cpu"):
        check_device("cuda", "cpu", "0.32.0")
    with pytest.raises(ModelError, match=r"finds no device it can run on.*--sampler hf"):
        check_device(None, "", "0.32.0")


@pytest.mark.parametrize(
    ("device", "platform"), [(None, "cuda"), ("cuda", "cuda"), ("0", "cuda"), ("cuda:0", "cuda"), ("cpu", "cpu")]
)
def test_a_device_that_the_build_drives_passes(device, platform):
    check_device(device, platform, "0.32.0")


# Absence and failures


def test_absent_vllm_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError) as caught:
        VllmSampler().profile(request())
    assert str(caught.value) == "--sampler vllm needs the vllm package: pip install 'rlvr-harness[vllm]'"


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed here")
def test_absent_vllm_is_told_by_the_command_line(harness, tmp_path):
    run = ("run", "--model", "demo/rlvr", "--k", "4", "--limit", "2", "--sampler", "vllm", "-o", tmp_path / "run")
    done = harness(*run)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: --sampler vllm needs the vllm package: pip install 'rlvr-harness[vllm]'"


def test_the_sampler_obeys_its_contract():
    assert isinstance(VllmSampler(), Sampler)


class ConfigError(ValueError):
    """As pydantic's: its first line says only how many findings there are."""

    def errors(self):
        return [{"loc": (), "msg": "Value error, User-specified max_model_len (4096)\n is greater than 128."}]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TypeError("EngineArgs.__init__() got an unexpected keyword argument 'x'"), "unexpected keyword argument 'x'"),
        (ConfigError("1 validation error"), ": User-specified max_model_len (4096) is greater than 128"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "gpu_memory_utilization"),
        (ValueError("No available memory for the cache blocks. Try"), "lower max_model_len"),
        (ValueError("To serve at least one request, 16.00 GiB KV cache is needed"), "lower max_model_len"),
        (RuntimeError("Engine core initialization failed. See root cause above."), "the cause stands above"),
    ],
)
def test_failures_of_the_engine_are_one_line_with_a_way_out(error, told):
    failure = engine_failure("some/model", "open", error)
    assert str(failure).startswith("vllm cannot open model 'some/model': ")
    assert told in str(failure)
    assert "\n" not in str(failure)


def test_require_vllm_says_nothing_where_it_is_found(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    require_vllm()


# Adapters


def adapter(folder, weights="adapter_model.safetensors", **config):
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / weights).write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(("rank", "wanted"), [(1, 8), (8, 8), (9, 16), (64, 64), (257, 320), (512, 512)])
def test_the_smallest_rank_that_holds_the_adapter_is_taken(tmp_path, rank, wanted):
    assert adapter_rank(adapter(tmp_path, r=rank), allow_pickle=False) == wanted


def test_a_larger_rank_of_one_layer_counts(tmp_path):
    assert adapter_rank(adapter(tmp_path, r=4, rank_pattern={"q_proj": 20}), allow_pickle=False) == 32


def test_adapters_that_cannot_be_served_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no adapter_config.json here"):
        adapter_rank(tmp_path, allow_pickle=False)
    with pytest.raises(ModelError, match="rank 1024 is not between 1 and 512"):
        adapter_rank(adapter(tmp_path / "big", r=1024), allow_pickle=False)
    with pytest.raises(ModelError, match="names no rank 'r'"):
        adapter_rank(adapter(tmp_path / "odd", alpha=1), allow_pickle=False)
    pickled = adapter(tmp_path / "pickled", weights="adapter_model.bin", r=8)
    with pytest.raises(ModelError, match="--allow_pickle"):
        adapter_rank(pickled, allow_pickle=False)
    assert adapter_rank(pickled, allow_pickle=True) == 8


def test_the_hash_of_a_model_with_an_adapter_depends_on_both(tmp_path):
    first, second = adapter(tmp_path / "a", r=8), adapter(tmp_path / "b", r=8)
    (second / "adapter_model.safetensors").write_bytes(b"others")
    hashes = {combined_hash(base, folder) for base in ("x", "y") for folder in (first, second)}
    assert len(hashes) == 4
    assert combined_hash("x", None) == "x"
    assert combined_hash(None, first) is None


# Keeping an engine full


@dataclass
class Output:
    """A RequestOutput as far as it is read."""

    request_id: str
    finished: bool = True


class FakeEngine:
    """Runs `width` samples at once; sample i needs 1 + i % 3 steps."""

    def __init__(self, width):
        self.width, self.waiting, self.left, self.aborted, self.most = width, [], {}, [], 0
        self.names, self.running = set(), []

    def add_request(self, request_id, prompt, params, lora_request=None):
        assert request_id not in self.names
        self.names.add(request_id)
        self.waiting.append(request_id)
        self.left[request_id] = 1 + params % 3
        self.most = max(self.most, len(self.left))

    def step(self):
        self.running = list(self.left)[: self.width]
        outputs = []
        for name in self.running:
            self.left[name] -= 1
            outputs.append(Output(name, self.left[name] == 0))
            if not self.left[name]:
                del self.left[name]
        return outputs

    def abort_request(self, request_ids):
        self.aborted += request_ids
        for name in request_ids:
            del self.left[name]


def flight(engine, room):
    def describe(wanted):
        return EngineInput(wanted.problem.prompt, wanted.index)

    def finish(wanted, output):
        problem = wanted.problem
        text, reason = f"{problem.problem_id}/{wanted.index}", FinishReason.STOP
        return Sample(problem.task, "model", problem.problem_id, wanted.index, wanted.seed, text, reason, 1)

    return Flight(engine, room, describe, finish)


def keys(samples):
    return sorted((sample.problem_id, sample.index, sample.seed) for sample in samples)


@pytest.mark.parametrize("case", range(40))
def test_every_sample_comes_back_once_with_its_own_seed(case, request_for):
    draw = random.Random(case)
    sizes = [draw.randrange(40) for _ in range(draw.randrange(7))]
    width, room = draw.randint(1, 8), draw.randint(1, 30)
    unit = [request_for(Problem("t", str(number), "", ""), range(size)) for number, size in enumerate(sizes)]
    engine = FakeEngine(width)
    found = [sample for some in flight(engine, room).run(ClosedWork(unit)) for sample in some]
    assert keys(found) == sorted(
        (asked.problem.problem_id, index, seed)
        for asked in unit
        for index, seed in zip(asked.indices, asked.seeds, strict=True)
    )
    assert engine.most <= room
    assert engine.aborted == []


def test_the_engine_is_full_while_there_is_work(puzzle, request_for):
    engine = FakeEngine(4)
    run = flight(engine, 8).run(ClosedWork([request_for(puzzle(n), range(30)) for n in range(3)]))
    seen = 0
    for some in run:
        seen += len(some)
        if seen < 80:
            assert len(engine.running) == 4
    assert seen == 90


class Stages:
    """Asks for 4 samples of a problem, and for 4 more once those have come back; notes how it was asked."""

    def __init__(self, problem, request_for, stages):
        self.problem, self.request_for, self.stages = problem, request_for, stages
        self.asked, self.returned, self.waits = 0, 0, []

    def take(self, wait):
        if self.asked > self.returned:
            assert not wait, "waited for what is under way"
            return None
        self.waits.append(wait)
        if self.asked == 4 * self.stages:
            return None
        indices = range(self.asked, self.asked + 4)
        self.asked += 4
        return self.request_for(self.problem, indices)


def test_what_depends_on_earlier_samples_is_asked_for_when_they_are_back(puzzle, request_for):
    source = Stages(puzzle(0), request_for, stages=5)
    indices = []
    for some in flight(FakeEngine(2), 16).run(source):
        source.returned += len(some)
        indices += [sample.index for sample in some]
    assert sorted(indices) == list(range(20))
    assert source.waits == [True] * 6


def test_a_caller_that_stops_early_leaves_nothing_under_way(puzzle, request_for):
    engine = FakeEngine(4)
    run = flight(engine, 8).run(ClosedWork([request_for(puzzle(0), range(30))]))
    next(run)
    under_way = list(engine.left)
    run.close()
    assert sorted(engine.aborted) == sorted(under_way)
    assert engine.left == {}


class DyingEngine(FakeEngine):
    """Dies in its third step, and fails at everything after it."""

    def step(self):
        if len(self.aborted) or self.steps == 2:
            raise ModelError("vllm cannot sample from model 'm': it died")
        self.steps += 1
        return super().step()

    steps = 0

    def abort_request(self, request_ids):
        raise ModelError("vllm cannot sample from model 'm': it is dead")


def test_what_ended_a_flight_is_told_and_not_what_failed_after_it(puzzle, request_for):
    with pytest.raises(ModelError, match="it died"):
        list(flight(DyingEngine(4), 8).run(ClosedWork([request_for(puzzle(0), range(30))])))
    run = flight(DyingEngine(4), 8).run(ClosedWork([request_for(puzzle(0), range(30))]))
    next(run)
    with pytest.raises(KeyboardInterrupt):
        run.throw(KeyboardInterrupt())


def test_two_flights_in_one_engine_use_other_names(puzzle, request_for):
    engine = FakeEngine(4)
    unit = [request_for(puzzle(0), range(10))]
    assert [sum(len(some) for some in flight(engine, 8).run(ClosedWork(unit))) for _ in range(2)] == [10, 10]
    assert len(engine.names) == 20
