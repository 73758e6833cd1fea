"""How much of a run's wall time is spent inside transformers' `generate`.

    python benchmarks/engine_share.py FOLDER [GEN_KWARGS]

Does what `rlvr-harness run --model demo/rlvr --base demo/base -o FOLDER [--gen_kwargs GEN_KWARGS]` does (100 problems,
k = 1024) and prints the share. The imports of torch and transformers are part of the wall time.
"""

import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


def main(folder: Path, gen_kwargs: str) -> None:
    """Runs and prints."""
    from transformers.generation.utils import GenerationMixin

    from rlvr_harness import app
    from rlvr_harness.run_spec import parse_spec

    spent = 0.0
    mixin: Any = GenerationMixin
    plain = mixin.generate

    def timed(*args: object, **kwargs: object) -> object:
        nonlocal spent
        started = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            spent += time.perf_counter() - started

    mixin.generate = timed
    models = {"model": "demo/rlvr", "base": "demo/base"}
    finished = app.run(parse_spec({**models, "gen_kwargs": gen_kwargs, "output_path": folder}), quiet=True)
    wall = time.perf_counter() - STARTED
    sampling = finished.results["run"]["timings"]["sampling"].values()
    samples = sum(cell["samples"] for cell in sampling)
    print(f"{samples:,} samples in {wall:.1f} s; inside generate {spent:.1f} s = {spent / wall:.1%} of the wall time")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "".join(sys.argv[2:]))
