"""RunSpec: the one list of options of a run. Command-line flags, YAML files and run.json all come from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from rlvr_harness.device_groups import device_of_each, kinds_of
from rlvr_harness.errors import UsageError, first_line, nearest
from rlvr_harness.foreign_metric import MetricChoice
from rlvr_harness.lm_eval_words import GEN_KWARGS, hint_of, named_checkpoint
from rlvr_harness.planning import Budget, parse_budget
from rlvr_harness.requests import SandboxChoice, check_law

Scalar = str | int | float | bool | None
ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SAMPLING_DEFAULTS: Mapping[str, float] = {
    "temperature": 0.6,
    "top_p": 0.95,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
DEFAULT_MAX_GEN_TOKS = 16384
DEMO_PREFIX = "demo/"
SEQUENTIAL_FROM_K = 64
"""Below it, stages save too little to be worth their wait."""


def parse_scalar(text: str) -> Scalar:
    """`1` -> 1, `0.5` -> 0.5, `true` -> True, `none` -> None, anything else as it stands."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("none", "null"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()


def parse_pairs(value: object) -> object:
    """`a=1,b=x` -> {"a": 1, "b": "x"}; a mapping passes through, and so does a JSON object."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from error
    pairs: dict[str, Scalar] = {}
    for part in filter(None, (piece.strip() for piece in value.split(","))):
        key, equals, text = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"'{part}' is not of the form key=value")
        pairs[key.strip()] = parse_scalar(text)
    return pairs


def parse_list(value: object) -> object:
    """`a,b` -> ["a", "b"]; a list passes through."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def parse_named(value: Any) -> Any:
    """`N=PATH,M=PATH` or a list of `N=PATH` -> {N: PATH, ...}, with the paths as text."""
    if isinstance(value, Mapping) or value is None:
        return value
    parts = [part for item in ([value] if isinstance(value, str) else list(value)) for part in str(item).split(",")]
    named: dict[str, str] = {}
    for part in filter(None, parts):
        name, equals, path = part.partition("=")
        if not equals or not path:
            raise ValueError(f"'{part}' is not of the form NAME=PATH")
        if name in named:
            raise ValueError(f"the name '{name}' is given twice")
        named[name] = path
    return named


Pairs = Annotated[dict[str, Any], BeforeValidator(parse_pairs)]
Names = Annotated[list[str], BeforeValidator(parse_list)]
Loggers = Annotated[list[Literal["wandb", "trackio", "mlflow"]], BeforeValidator(parse_list)]
Stages = Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(parse_list), Field(min_length=1)]
NamedPaths = Annotated[dict[str, str], BeforeValidator(parse_named)]
Temperatures = Annotated[dict[str, Annotated[float, Field(ge=0, le=100)]], BeforeValidator(parse_named)]


class RunSpec(BaseModel):
    """What to sample, how, and where to. Unset fields take the documented default when the run is resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="RLVR checkpoint: Hub id, local folder, or demo/rlvr")
    base: str | None = Field(None, description="its base model; without it the report is of one model")
    also: NamedPaths = Field(
        default_factory=dict, description="NAME=PATH: one more model to compare with the base (repeatable)"
    )
    tasks: Names = Field(default_factory=list, description="tasks, comma-separated; see `ls tasks`")
    preset: str | None = Field(None, description="a named set of tasks; see `ls presets`")
    k: int = Field(1024, ge=1, description="largest k of pass@k")
    n: int | None = Field(None, ge=1, description="samples per problem and model (default: k)")
    sampler: str = Field("hf", description="engine that generates; see `ls samplers`")
    model_args: Pairs = Field(default_factory=dict, description="key=value,... for the engine, as in lm-eval")
    base_args: Pairs = Field(default_factory=dict, description="overrides of model_args for the base alone")
    gen_kwargs: Pairs = Field(
        default_factory=dict,
        description="sampling law: temperature=0.6,top_p=0.95,top_k=0,min_p=0,repetition_penalty=1,max_gen_toks=16384",
    )
    temperatures: Temperatures = Field(
        default_factory=dict, description="ROLE=T,...: models sampled at a temperature of their own, with a warning"
    )
    prompt: str = Field("boxed", description="prompt profile; see `ls prompts`")
    apply_chat_template: bool = Field(False, description="wrap prompts in the tokenizer's chat template")
    system_instruction: str | None = Field(None, description="system message put before every prompt")
    num_fewshot: int = Field(0, ge=0, description="worked examples before each problem")
    plan: Literal["fixed", "sequential"] = Field(
        default_factory=lambda given: "sequential" if given["k"] >= SEQUENTIAL_FROM_K else "fixed",
        description="the same n for every problem, or in stages, fewer for those often solved "
        f"(default: sequential from k = {SEQUENTIAL_FROM_K} on)",
    )
    stages: Stages | None = Field(
        None, description="sequential plan: samples at which verdicts decide (default: 16,32,... doubling up to n)"
    )
    stop_after: int = Field(
        8, ge=1, description="sequential plan: right samples with which a problem stops at the end of a stage"
    )
    budget: str | None = Field(
        None,
        description="tokens (2.5M) or engine time (8h) of all models; a stage that would not fit is not drawn",
    )
    limit: int | None = Field(None, ge=1, description="only the first N problems of each task")
    seed: int = Field(0, ge=0, description="seed of the run; every sample's seed derives from it")
    data_dir: Path | None = Field(None, description="folder with local copies of the data sets")
    include_path: Path | None = Field(None, description="folder with lm-eval task YAML of your own")
    verifier: str | None = Field(None, description="judge with this verifier instead of each task's own")
    sandbox: str = Field("local", description="where programs of code tasks run; see `ls sandboxes`")
    sandbox_level: int = Field(
        3, ge=0, le=3, description="isolation below which programs are not run: 3 namespaces, 2 own uid, 1 limits"
    )
    metric: str | None = Field(
        None,
        min_length=1,
        description="lm-eval tasks: the metric that judges, NAME or NAME,FILTER as lm-eval reports it",
    )
    threshold: float | None = Field(
        None,
        allow_inf_nan=False,
        description="lm-eval tasks: score from which on a sample is right (default: 1, of 0 or 1)",
    )
    executor: str = Field("local", description="where the work is done: local, or ray for a Ray cluster")
    executor_args: Pairs = Field(
        default_factory=dict, description="key=value,... for the executor: address, sampler_actors, gpus_per_actor, ..."
    )
    workers: int | None = Field(None, ge=1, description="verifier processes (default: free cores)")
    batch_size: int | None = Field(None, ge=1, description="samples generated together (default: from memory)")
    device: str | None = Field(
        None, description="cpu, cuda:1, several: 0,1, side by side: 0,1/2,3 (default: cuda where there is one)"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of the engine (default: free cores)")
    trust_remote_code: bool = Field(False, description="run Python code that ships inside the checkpoint")
    allow_pickle: bool = Field(False, description="load weights that are not safetensors (pickle can run code)")
    allow_unfair: bool = Field(False, description="compare models whose prompts, stop rules or precision differ")
    without: Names = Field(default_factory=list, description="plugins to leave out, comma-separated")
    log: Loggers = Field(
        default_factory=list, description="follow the run in wandb, trackio or mlflow (A,B for several)"
    )
    output_path: Path | None = Field(None, description="run folder (default: runs/<model>-vs-<base>)")

    @model_validator(mode="after")
    def _check(self) -> RunSpec:
        if self.n is not None and self.n < self.k:
            raise ValueError(f"k = {self.k} needs at least as many samples, n = {self.n}; raise --n or lower --k")
        for name in self.also:
            if name in ("base", "model") or not ROLE.fullmatch(name):
                raise ValueError(f"--also name '{name}' must be letters, digits, . _ - and neither 'base' nor 'model'")
        if unknown := set(self.temperatures) - set(self.models):
            raise ValueError(f"temperatures: '{min(unknown)}' is none of the models {', '.join(self.models)}")
        device_of_each(self.device, list(self.models))
        self._check_stages()
        if self.preset and self.tasks:
            raise ValueError("give --tasks or --preset, not both")
        known = {*SAMPLING_DEFAULTS, "max_gen_toks"}
        if foreign := sorted(set(self.gen_kwargs) - known):
            hint = hint_of(GEN_KWARGS, foreign[0])
            raise ValueError(f"gen_kwargs: unknown {', '.join(foreign)}{hint}; known are {', '.join(sorted(known))}")
        check_law(self.gen_kwargs)
        return self

    @property
    def allowance(self) -> Budget:
        """What the run may spend; boundless without --budget."""
        return parse_budget(self.budget) if self.budget else Budget()

    def _check_stages(self) -> None:
        if self.budget is not None:
            parse_budget(self.budget)
            if self.plan != "sequential":
                raise ValueError("--budget chooses between stages; it needs --plan sequential")
        if self.stages is None:
            return
        if self.plan != "sequential":
            raise ValueError("--stages belong to --plan sequential; give that, or leave them out")
        listed = ",".join(str(stage) for stage in self.stages)
        if any(later <= earlier for earlier, later in pairwise(self.stages)):
            raise ValueError(f"--stages {listed} do not rise; give rising numbers, as 16,32,64")
        if self.stages[-1] != self.samples_per_problem:
            raise ValueError(f"--stages {listed} end in {self.stages[-1]}, not in n = {self.samples_per_problem}")

    @property
    def samples_per_problem(self) -> int:
        """n, or k where n is not given."""
        return self.n or self.k

    @property
    def models(self) -> dict[str, str]:
        """Role -> path of every model of the run, in the order of sampling."""
        base = {"base": self.base} if self.base else {}
        return {**base, "model": self.model, **self.also}

    @property
    def metric_choice(self) -> MetricChoice:
        """What decides in lm-eval tasks."""
        return MetricChoice(self.metric, self.threshold)

    @property
    def sandbox_choice(self) -> SandboxChoice:
        """Where programs of the models may run."""
        return SandboxChoice(self.sandbox, self.sandbox_level)

    def args_for(self, role: str) -> dict[str, Any]:
        """Engine arguments of one model."""
        return {**self.model_args, **(self.base_args if role == "base" else {})}

    def as_data(self) -> dict[str, Any]:
        """The spec as plain JSON data."""
        return self.model_dump(mode="json")


IDENTITY_FREE = frozenset({"output_path", "workers", "threads", "without", "executor", "executor_args", "log"})
"""Options that may differ when a run folder is used again: they change no sample and no verdict. Nor does which GPU."""


def identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a spec (as plain data) that decides which samples a run folder holds."""
    return {key: spec[key] for key in spec if key not in IDENTITY_FREE} | {"device": kinds_of(spec.get("device"))}


def parse_spec(options: Mapping[str, Any], source: str = "options") -> RunSpec:
    """RunSpec of plain data; raises UsageError with one line per fault."""
    if line := named_checkpoint(options.get("model_args")):
        raise UsageError(f"{source}: {line}")
    try:
        return RunSpec.model_validate(dict(options))
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors(include_url=False) if _tells(item))
        raise UsageError(f"{source}: {faults}") from error


def _tells(item: Any) -> bool:
    """Whether a fault says something by itself: a default that could not be worked out comes with another fault."""
    return bool(item["type"] != "default_factory_not_called")


def _fault(item: Any) -> str:
    where = str(item["loc"][0]) if item["loc"] else ""
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "missing":
        return f"--{where} is required"
    if item["type"] == "extra_forbidden":
        return f"unknown option '{where}'{nearest(where, RunSpec.model_fields)}"
    if len(item["loc"]) > 1:
        message = f"'{item['input']}': {message[:1].lower()}{message[1:]}"
    return f"--{where}: {message}" if where else message


def read_spec_file(path: Path) -> dict[str, Any]:
    """Options from a YAML file, keys as the flags; raises UsageError when it is not a mapping."""
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UsageError(f"--config {path}{where} is not YAML: {first_line(error)}") from error
    if not isinstance(loaded, dict):
        raise UsageError(f"--config {path} holds no options (expected lines like `model: path`)")
    return {str(key).replace("-", "_"): value for key, value in loaded.items()}
