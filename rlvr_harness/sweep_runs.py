"""The run folders of a sweep: that of the base alone, and one a checkpoint with the base's samples taken over."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlvr_harness.checkpoint_folders import FoundCheckpoint
from rlvr_harness.comparing import end_tokens
from rlvr_harness.contracts import ComparableProfile, ModelProfile
from rlvr_harness.errors import UsageError
from rlvr_harness.estimating import plan_lines
from rlvr_harness.preparing import PreparedRun, PreparedTask, prepare
from rlvr_harness.registry import Registry
from rlvr_harness.run_reader import read_json
from rlvr_harness.run_spec import RunSpec, parse_spec
from rlvr_harness.running import Way, run_stages
from rlvr_harness.stages.prompting import hash_prompts
from rlvr_harness.taking_over import Source, take_over

BASE = "base"
ALONE = "model"
"""The base's role in its own run folder, where it is the only model."""
ADAPTER_ARGS = {"hf": "peft", "vllm": "lora", "lm_eval:hf": "peft", "lm_eval:vllm": "lora_local_path"}
"""Sampler -> the engine argument that names an adapter's folder."""
Record = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """What was decided once for all models of a sweep: the end tokens, None where each stops at its own."""

    eos_tokens: tuple[str, ...] | None

    @classmethod
    def of(cls, profiles: Mapping[str, ModelProfile], allow_unfair: bool) -> Terms:
        """The union of the end tokens of all. Raises UsageError where a tokenizer lacks one of them."""
        decision = end_tokens(profiles, unify=True)
        if decision.refusals and not allow_unfair:
            raise UsageError(
                f"not a fair sweep: {decision.refusals[0].text}; sweep checkpoints of one tokenizer, or compare all "
                "the same with --allow_unfair"
            )
        return cls(decision.eos_tokens)

    def as_data(self) -> dict[str, Any]:
        """For sweep.json."""
        return {"eos_tokens": None if self.eos_tokens is None else list(self.eos_tokens)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Terms:
        """The terms that `as_data` gave."""
        ends = data["eos_tokens"]
        return cls(None if ends is None else tuple(ends))


@dataclass(frozen=True)
class Shared:
    """What all checkpoints of a sweep share: `base` prepared by itself, and `source`, its run folder."""

    registry: Registry
    terms: Terms
    base: PreparedRun
    source: Path


def base_spec(spec: RunSpec, folder: Path) -> RunSpec:
    """The run of the base alone; `spec`: the options of the sweep."""
    own = {ALONE: spec.temperatures[BASE]} if BASE in spec.temperatures else {}
    changes = {
        "model": spec.base,
        "base": None,
        "model_args": spec.args_for(BASE),
        "base_args": {},
        "temperatures": own,
        "output_path": str(folder),
    }
    return parse_spec(spec.as_data() | changes, "the base's run")


def pair_spec(spec: RunSpec, one: FoundCheckpoint, folder: Path) -> RunSpec:
    """The run of a checkpoint against the base. Raises UsageError for an adapter that the sampler cannot open."""
    changes: dict[str, Any] = {"model": str(one.path), "output_path": str(folder)}
    if one.is_adapter:
        key = ADAPTER_ARGS.get(spec.sampler)
        if key is None:
            raise UsageError(
                f"{one.path} is an adapter, which sampler '{spec.sampler}' cannot open; "
                f"use --sampler {' or '.join(ADAPTER_ARGS)}, or merge it into the base's weights"
            )
        changes |= {
            "model": spec.base,
            "model_args": {**spec.model_args, key: str(one.path)},
            "base_args": {key: spec.model_args.get(key), **spec.base_args},
        }
    return parse_spec(spec.as_data() | changes, f"the run of {one.name}")


def run_base(shared: Shared, quiet: bool) -> None:
    """Samples and judges the base, or what is missing of it; results.json is written, no report."""
    folder, alone = shared.source, shared.base
    if (folder / "run.json").is_file():
        earlier = read_json(folder, "run.json")
    else:
        earlier = {"fairness": replace(alone.fairness, eos_tokens=shared.terms.eos_tokens).as_data()}
    prepared = prepare(alone.spec, shared.registry, earlier)
    if not quiet:
        print(*plan_lines(prepared), *prepared.notes, sep="\n", file=sys.stderr, flush=True)
    run_stages(prepared, folder, earlier, Way(quiet))


def check_pair(prepared: PreparedRun, terms: Terms, base: PreparedRun) -> None:
    """Raises UsageError where the base would have been sampled otherwise beside this checkpoint."""
    _check_ends(prepared, terms)
    for own, task in zip(base.tasks, prepared.tasks, strict=True):
        _check_task(own, task)


def run_pair(spec: RunSpec, one: FoundCheckpoint, shared: Shared, quiet: bool) -> None:
    """Takes the base over and samples the checkpoint, or what is missing; results.json is written, no report."""
    folder, source = _folder(spec), shared.source
    if not (folder / "run.json").is_file():
        prepared = prepare(spec, shared.registry)
        check_pair(prepared, shared.terms, shared.base)
        base = read_json(source, "run.json")
        verifiers = {task: facts["verifier"] for task, facts in base["tasks"].items()}
        record = _pair_record(prepared, base, shared, one)
        take_over(Source(source, ALONE, verifiers), folder, BASE, record)
    earlier = read_json(folder, "run.json")
    run_stages(prepare(spec, shared.registry, earlier), folder, earlier, Way(quiet))


def _folder(spec: RunSpec) -> Path:
    assert spec.output_path is not None, "the specs of this module name their folder"
    return spec.output_path


def _check_ends(prepared: PreparedRun, terms: Terms) -> None:
    profile, what = prepared.profiles[ALONE], "the base was sampled without regard to this checkpoint"
    if not isinstance(profile, ComparableProfile) or terms.eos_tokens is None:
        return
    if extra := sorted(set(profile.eos_tokens) - set(terms.eos_tokens)):
        raise UsageError(
            f"it ends its texts with {' '.join(extra)}, at which the base was not stopped ({what}); "
            "begin a sweep with it in another folder with -o"
        )
    if lacking := [token for token in terms.eos_tokens if not profile.has_token(token)]:
        raise UsageError(f"its tokenizer lacks {' '.join(lacking)}, at which every model of this sweep is stopped")


def _check_task(base: PreparedTask, pair: PreparedTask) -> None:
    if pair.law != base.law:
        raise UsageError(
            f"task '{pair.name}': beside it completions may have {pair.law.max_gen_toks:,} tokens, the base alone "
            f"{base.law.max_gen_toks:,}; begin a sweep with --gen_kwargs max_gen_toks={pair.law.max_gen_toks} in "
            "another folder with -o"
        )
    kinds = [hash_prompts(task.prompted.problems_for(role)) for task, role in ((base, ALONE), (pair, BASE))]
    if kinds[0] != kinds[1]:
        raise UsageError(f"task '{pair.name}': the base would be given other prompts beside it; sweep it by itself")


def _pair_record(prepared: PreparedRun, base: Mapping[str, Any], shared: Shared, one: FoundCheckpoint) -> Record:
    """run.json of a checkpoint's run, from which it goes on as if it had sampled the base itself."""
    kept = {task: {BASE: rows[ALONE]} for task, rows in base.get("rows_per_unit", {}).items() if ALONE in rows}
    tasks = {
        task.name: {**base["tasks"][task.name], "prompt_hash": task.prompted.prompt_hash} for task in prepared.tasks
    }
    said: dict[str, Any] = {"name": one.name}
    said |= {key: value for key, value in (("step", one.step), ("series", one.series)) if value not in (None, "")}
    return {
        "spec": prepared.spec.as_data(),
        "threads": base["threads"],
        "tasks": tasks,
        "models": {BASE: base["models"][ALONE], ALONE: said},
        "rows_per_unit": kept,
        "fairness": replace(prepared.fairness, eos_tokens=shared.terms.eos_tokens).as_data(),
        "taken_over": {BASE: str(shared.source)},
    }
