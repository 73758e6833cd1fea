"""What lm-eval itself is not needed for: results.json in the shape of its results files, and its silence."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def lm_eval_view(results: Mapping[str, Any], role: str) -> dict[str, Any]:
    """lm-eval's `results`, `configs`, `versions`, ... with one `pass@k,none` entry per k."""
    view: dict[str, Any] = {"results": {}, "configs": {}, "versions": {}, "n-shot": {}, "higher_is_better": {}}
    view["n-samples"] = {}
    for task, content in results["tasks"].items():
        model = content["models"].get(role)
        if model is None:
            continue
        row: dict[str, Any] = {"alias": task, "name": task, "sample_len": content["problems"]}
        for k, cell in model["pass_at_k"].items():
            row[f"pass@{k},none"] = cell["value"]
            if cell["low"] is not None:
                row[f"pass@{k}_stderr,none"] = (cell["high"] - cell["low"]) / (2 * 1.96)
        view["results"][task] = row
        view["configs"][task] = {"task": task, "output_type": "generate_until"}
        view["versions"][task] = None
        view["n-shot"][task] = 0
        view["higher_is_better"][task] = {f"pass@{k}": True for k in model["pass_at_k"]}
        view["n-samples"][task] = {"original": content["problems"], "effective": content["problems"]}
    return view


@contextmanager
def quiet_lm_eval() -> Iterator[None]:
    """Silences lm-eval's progress bars and info lines: our own output is one line per fact."""
    import datasets

    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()
