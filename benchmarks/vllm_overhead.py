"""Tokens per second of the vllm sampler's stream against bare `LLM.generate`, on the same engine and work.

    python benchmarks/vllm_overhead.py MODEL [--problems 16] [--n 64] [--tokens 128] [--rounds 5] [--model_args a=b,...]

MODEL is a checkpoint that vLLM can open here. Both draw n samples of every prompt under the default law, with end
tokens ignored, so that both generate the same number of tokens; they take turns, and the median of the ratios is
printed with its range, by the clock and, for busy machines, by CPU time. Bare `LLM.generate` is measured with a seed,
as a run needs it, and without.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from rlvr_harness import ModelRequest, Problem, SampleRequest, SamplingLaw
from rlvr_harness.planning import sample_seed
from rlvr_harness.run_spec import parse_pairs
from rlvr_vllm.model import VllmModel
from rlvr_vllm.sampler import VllmSampler
from rlvr_vllm.streaming import ClosedWork

BLOCK = 16
"""Indices of a problem that are asked for at once, as a plan in stages does."""


def main() -> None:
    """Measures and prints."""
    options = _parser().parse_args()
    args = parse_pairs(options.model_args)
    assert isinstance(args, dict)
    model = VllmSampler().open(ModelRequest("model", options.model, args, eos_tokens=()))
    law = SamplingLaw(max_gen_toks=options.tokens)
    problems = [
        Problem("benchmark", str(number), f"Make {number} from {number + 1}, {number + 2} and 7.\n", "")
        for number in range(options.problems)
    ]
    ways: dict[str, Callable[[], int]] = {
        "ours": lambda: _ours(model, problems, law, options.n),
        "bare": lambda: _bare(model, problems, law, options.n, seed=0),
        "bare without seeds": lambda: _bare(model, problems, law, options.n, seed=None),
    }
    for way in ways.values():
        way()
    for clock in _rounds(ways, options.rounds):
        _report(*clock)
    model.close()


def _rounds(ways: Mapping[str, Callable[[], int]], rounds: int) -> list[tuple[str, dict[str, list[float]]]]:
    """Tokens per second of every way and round: by the clock, and by this process's CPU time."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started, busy = time.perf_counter(), time.process_time()
            tokens = way()
            wall[name].append(tokens / (time.perf_counter() - started))
            cpu[name].append(tokens / (time.process_time() - busy))
    return [("tokens/s", wall), ("tokens per CPU second of this process", cpu)]


def _report(unit: str, speeds: Mapping[str, list[float]]) -> None:
    for name, found in speeds.items():
        line = f"{name}: {statistics.median(found):,.0f} {unit}"
        if name != "ours":
            ratios = [ours / bare for ours, bare in zip(speeds["ours"], found, strict=True)]
            line += f"; ours / {name}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--model_args", default="")
    for name, default in (("problems", 16), ("n", 64), ("tokens", 128), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser


def _ours(model: VllmModel, problems: list[Problem], law: SamplingLaw, n: int) -> int:
    """Tokens that the stream made."""
    unit = [
        SampleRequest(
            problem,
            tuple(range(first, min(n, first + BLOCK))),
            tuple(sample_seed(0, "benchmark", problem.problem_id, i) for i in range(first, min(n, first + BLOCK))),
        )
        for problem in problems
        for first in range(0, n, BLOCK)
    ]
    return sum(sample.n_tokens for some in model.stream(ClosedWork(unit), law) for sample in some)


def _bare(model: VllmModel, problems: list[Problem], law: SamplingLaw, n: int, seed: int | None) -> int:
    """Tokens that `LLM.generate` made, all prompts in one call."""
    from vllm import SamplingParams

    llm: Any = model._llm
    prompts = [{"prompt_token_ids": list(model._opened.profile.token_ids(problem.prompt))} for problem in problems]
    parameters = SamplingParams(
        n=n,
        seed=seed,
        temperature=law.temperature,
        top_p=law.top_p,
        max_tokens=law.max_gen_toks,
        ignore_eos=True,
    )
    outputs = llm.generate(prompts, parameters, use_tqdm=False)
    return sum(len(completion.token_ids) for output in outputs for completion in output.outputs)


if __name__ == "__main__":
    main()
