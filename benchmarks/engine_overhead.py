"""What the `hf` sampler and the pipeline around it cost, against bare `generate` and against lm-eval's `repeats`.

    python benchmarks/engine_overhead.py [--width 384] [--layers 6] [--problems 4] [--n 256] [--tokens 64]
        [--rows 256] [--rounds 5] [--threads 2] [--vocabulary 0]

Draws n samples of the same Countdown prompts under one law with a Llama of random weights, three ways that take turns:
the pipeline as `rlvr-harness run` drives it (seeds, verifier, run folder on disk), a bare loop of `generate` with
`num_return_sequences` that decodes and keeps nothing else, and `lm_eval.simple_evaluate` with `repeats: n`. Loading the
model is counted for none. Prints the medians of the ratios by the clock and by CPU time; then, with the embedded demo
model on one thread, the CPU time per sample spent outside `generate` and the verifier; then the peak memory of a
process that draws n = 64 and of one that draws n = 1024.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlvr_harness import OpenModel
from rlvr_harness.pipeline import Cell, Line
from rlvr_harness.preparing import PreparedRun, prepare
from rlvr_harness.progress import Progress
from rlvr_harness.registry import load_plugins
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.run_store import RunStore

LAW = {"temperature": 0.6, "top_p": 0.95}


def main() -> None:
    """Measures and prints."""
    options = _parser().parse_args()
    if options.memory_of:
        _print_memory(options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _compare(options, _checkpoint(folder / "model", options), folder)
    _cpu_per_sample(options)
    for n in (64, 1024):
        _memory(options, n)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"width": 384, "layers": 6, "problems": 4, "n": 256, "tokens": 64, "rows": 256, "rounds": 5, "threads": 2}
    parser.add_argument("--vocabulary", type=int, default=0, help="rows of the embedding; 0: the tokenizer's")
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory_of", type=int, help=argparse.SUPPRESS)
    return parser


def _checkpoint(folder: Path, options: argparse.Namespace) -> Path:
    """A Llama of random weights with the demo tokenizer; 384 wide with 6 layers it has 11 M parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from rlvr_demo.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=max(len(tokenizer), options.vocabulary),
        hidden_size=options.width,
        intermediate_size=3 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    print(f"model: {model.num_parameters() / 1e6:.1f} M parameters")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _prepared(options: argparse.Namespace, model: str, n: int) -> PreparedRun:
    spec = {
        "model": model,
        "tasks": "countdown",
        "k": n,
        "n": n,
        "plan": "fixed",
        "limit": options.problems,
        "batch_size": options.rows,
        "threads": options.threads,
        "workers": 1,
        "gen_kwargs": ",".join(f"{key}={value}" for key, value in {**LAW, "max_gen_toks": options.tokens}.items()),
    }
    return prepare(parse_spec(spec), load_plugins())


def _sample_all(prepared: PreparedRun, model: OpenModel, folder: Path, rows: int) -> int:
    """What `rlvr-harness run` does between opening the model and the results; returns the samples drawn."""
    with RunStore(folder) as store:
        cells = [Cell(folder, "model", task, 0, rows) for task in prepared.tasks]
        progress = Progress("model", {task.name: task.k for task in prepared.tasks}, None)
        with Line(store, cells, progress, "hf") as line:
            return sum(speed.samples for speed in line.sample(model).values())


def _compare(options: argparse.Namespace, checkpoint: Path, scratch: Path) -> None:
    prepared = _prepared(options, str(checkpoint), options.n)
    model = prepared.sampler.open(prepared.requests["model"])
    prompts = [problem.prompt for problem in prepared.tasks[0].prompted.problems]
    rounds = iter(range(1000))
    ways: dict[str, Callable[[], int]] = {
        "ours": lambda: _sample_all(prepared, model, scratch / f"run-{next(rounds)}", options.rows),
        "bare generate": lambda: _bare(model, prompts, options),
        "lm-eval": _lm_eval(model, prompts, options, scratch),
    }
    wall: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds + 1):
        for name, way in ways.items():
            started, cpu = time.perf_counter(), time.process_time()
            drawn = way()
            assert drawn == options.n * len(prompts), f"{name} drew {drawn} samples"
            if turn:
                wall[name].append(time.perf_counter() - started)
                busy[name].append(time.process_time() - cpu)
    model.close()
    for name in ways:
        line = f"{name}: {statistics.median(wall[name]):.2f} s, CPU {statistics.median(busy[name]):.2f} s"
        if name != "ours":
            for clock, found in (("wall", wall), ("CPU", busy)):
                ratios = [ours / other for ours, other in zip(found["ours"], found[name], strict=True)]
                line += f"; ours / {name}, {clock}: {statistics.median(ratios):.3f}"
                line += f" ({min(ratios):.3f} to {max(ratios):.3f})"
        print(line)


def _bare(model: Any, prompts: list[str], options: argparse.Namespace) -> int:
    """One prompt after the other, in batches of the same number of rows."""
    import torch

    drawn = 0
    for prompt in prompts:
        ids = model._tokenizer(prompt, return_tensors="pt")
        for first in range(0, options.n, options.rows):
            count = min(options.rows, options.n - first)
            with torch.inference_mode():
                output = model._model.generate(
                    **ids,
                    do_sample=True,
                    top_k=0,
                    **LAW,
                    max_new_tokens=options.tokens,
                    num_return_sequences=count,
                    eos_token_id=model._tokenizer.eos_token_id,
                    pad_token_id=model._tokenizer.pad_token_id,
                )
            texts = model._tokenizer.batch_decode(output[:, ids["input_ids"].shape[1] :], skip_special_tokens=True)
            drawn += len(texts)
    return drawn


def _lm_eval(model: Any, prompts: list[str], options: argparse.Namespace, scratch: Path) -> Callable[[], int]:
    """lm-eval's own loop over the same loaded weights."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder = scratch / "task"
    folder.mkdir()
    (folder / "rows.json").write_text("\n".join(json.dumps({"prompt": p, "gold": "x"}) for p in prompts))
    task = {
        "task": "benchmark_prompts",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "rows.json")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "gold",
        "repeats": options.n,
        "generation_kwargs": {"until": [], "do_sample": True, "top_k": 0, **LAW, "max_gen_toks": options.tokens},
        "metric_list": [{"metric": "exact_match"}],
    }
    (folder / "task.yaml").write_text(json.dumps(task))
    tasks = TaskManager(include_path=str(folder), include_defaults=False)
    lm = HFLM(pretrained=model._model, tokenizer=model._tokenizer, batch_size=options.rows)

    def evaluate() -> int:
        found = lm_eval.simple_evaluate(
            model=lm, tasks=["benchmark_prompts"], task_manager=tasks, bootstrap_iters=0, log_samples=True, verbosity=40
        )
        return sum(len(row) for sample in found["samples"]["benchmark_prompts"] for row in sample["resps"])

    return evaluate


class _Clock:
    """CPU time of this thread inside the calls it wraps."""

    def __init__(self) -> None:
        self.spent = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.spent += time.thread_time() - started

        return timed


def _cpu_per_sample(options: argparse.Namespace) -> None:
    """One thread, so that all of the engine's work is this thread's; the demo model's texts end as real ones do."""
    import torch

    options = argparse.Namespace(**{**vars(options), "threads": 1, "problems": 20, "n": 512, "tokens": 48})
    prepared = _prepared(options, "demo/base", options.n)
    model: Any = prepared.sampler.open(prepared.requests["model"])
    torch.set_num_threads(1)
    found = []
    plain_generate = model._generate
    verifier: Any = type(prepared.tasks[0].verifier)
    plain = {name: getattr(verifier, name) for name in ("verify", "quick", "verdict_key")}
    for turn in range(options.rounds + 1):
        engine, judge = _Clock(), _Clock()
        model._generate = engine.around(plain_generate)
        for name, call in plain.items():
            setattr(verifier, name, judge.around(call))
        with tempfile.TemporaryDirectory() as folder:
            cpu = time.process_time()
            samples = _sample_all(prepared, model, Path(folder) / "run", options.rows)
            total = time.process_time() - cpu
        if turn:
            found.append((total - engine.spent - judge.spent) / samples * 1000)
    for name, call in plain.items():
        setattr(verifier, name, call)
    model.close()
    print(
        f"harness CPU outside generate and verifier: {statistics.median(found):.4f} ms per sample "
        f"({min(found):.4f} to {max(found):.4f}), demo model, {samples:,} samples"
    )


def _memory(options: argparse.Namespace, n: int) -> None:
    command = [sys.executable, __file__, "--memory_of", str(n), "--rows", "64", "--threads", str(options.threads)]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def _print_memory(options: argparse.Namespace) -> None:
    options = argparse.Namespace(**{**vars(options), "problems": 8, "n": options.memory_of, "tokens": 48})
    prepared = _prepared(options, "demo/base", options.n)
    model = prepared.sampler.open(prepared.requests["model"])
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _sample_all(prepared, model, Path(folder) / "run", options.rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory at n = {options.n}: {peak / 1024:.0f} MB, {(peak - before) / 1024:.0f} MB of it while sampling")


if __name__ == "__main__":
    main()
