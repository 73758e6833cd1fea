"""The models of one run in as few engines as they need: a base and adapters of it are served by one."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness import CheckpointProfile, EarlyEnd, ModelError, ModelFacts, ModelRequest, end_ids, weight_hash
from rlvr_vllm.adapters import adapter_rank, combined_hash
from rlvr_vllm.devices import Group, groups_of
from rlvr_vllm.engine import import_vllm, shut_down, start
from rlvr_vllm.fleet import Fleet, FleetModel
from rlvr_vllm.model import Opened, VllmModel
from rlvr_vllm.options import EngineOptions, check_device, engine_options
from rlvr_vllm.profile import profile_of


@dataclass(frozen=True)
class EnginePlan:
    """What an engine is started with; models of equal plans share one."""

    path: str
    arguments: Mapping[str, Any]
    device: str | None
    threads: int | None


class Engines:
    """Opens models in this process, one after another. An engine stays until a model needs another one, or `end`."""

    def __init__(self, requests: Sequence[ModelRequest]) -> None:
        """`requests`: all models that may be opened; which of them share an engine depends on nothing else."""
        self._requests = list(requests)
        self._plan: EnginePlan | None = None
        self._llm: Any = None
        self.started = 0

    def open(self, request: ModelRequest) -> VllmModel:
        """The model, loaded; the model opened before must be closed."""
        profile, options = profile_of(request), engine_options(request)
        plan = self._plan_of(request)
        if plan != self._plan:
            self.end()
            self._llm, self._plan = _started(plan), plan
            self.started += 1
        facts = _facts(request, self._llm, profile, options)
        opened = Opened(request, profile, facts, self._lora_request(options), options.logprobs)
        return VllmModel(self._llm, opened)

    def end(self) -> None:
        """Ends the engine with its processes and gives its memory back."""
        llm, self._llm, self._plan = self._llm, None, None
        if llm is not None:
            shut_down(llm)
            del llm
            gc.collect()

    def _plan_of(self, request: ModelRequest) -> EnginePlan:
        own = _plain_plan(request)
        folders = [
            (each, adapter)
            for each in self._requests
            if (adapter := engine_options(each).adapter) is not None and _plain_plan(each) == own
        ]
        if not folders:
            return own
        # Models are sampled one after another: one adapter at a time is enough.
        rank = max(adapter_rank(folder, each.allow_pickle) for each, folder in folders)
        arguments = {"max_lora_rank": rank, **own.arguments, "enable_lora": True}
        return EnginePlan(own.path, arguments, own.device, own.threads)

    def _lora_request(self, options: EngineOptions) -> Any:
        """vLLM's request for the adapter; its name and number keep cached prefixes of one adapter from another."""
        if options.adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        known = [engine_options(each).adapter for each in self._requests]
        number = 1 + list(dict.fromkeys(folder for folder in known if folder)).index(options.adapter)
        return LoRARequest(f"adapter-{number}", number, str(options.adapter))


class RunSampler:
    """The `vllm` sampler for the models of one run."""

    name = "vllm"
    description = "vLLM for the models of one run"

    def __init__(self, requests: Sequence[ModelRequest], keeps: bool = True, ending: EarlyEnd | None = None) -> None:
        """`requests`: all models of the run. Without `keeps` the engines end where a model is closed."""
        self._requests, self._keeps, self._ending = list(requests), keeps, ending
        self._groups: list[Group] = []
        self._host: Fleet | Engines | None = None

    def profile(self, request: ModelRequest) -> CheckpointProfile:
        """Tokenizer and context, without weights."""
        return profile_of(request)

    def open(self, request: ModelRequest) -> VllmModel | FleetModel:
        """The model, in the engine of the one before where that can serve it. Raises ModelError, nothing left open."""
        groups = groups_of(request)
        if self._host is None or groups != self._groups:
            self.end()
            alike = [each for each in self._requests if groups_of(each) == groups]
            self._groups = groups
            self._host = Fleet(alike, groups, Engines, self._ending) if groups else Engines(alike)
        try:
            model = self._host.open(request)
        except ModelError:
            self.end()
            raise
        if not self._keeps:
            model.closing = self.end
        return model

    def end(self) -> None:
        """Ends all engines."""
        host, self._host = self._host, None
        if host is not None:
            host.end()


def _plain_plan(request: ModelRequest) -> EnginePlan:
    """The engine of the base alone, adapters left aside."""
    path = str(Path(request.path).resolve()) if Path(request.path).is_dir() else request.path
    arguments = {**engine_options(request).arguments, "model": path}
    return EnginePlan(path, arguments, request.device, request.threads)


def _started(plan: EnginePlan) -> Any:
    vllm = import_vllm()
    platform = str(vllm.platforms.current_platform.device_type)
    check_device(plan.device, platform, str(vllm.__version__))
    return start(plan.path, plan.arguments, platform, plan.threads)


def _facts(request: ModelRequest, llm: Any, profile: CheckpointProfile, options: EngineOptions) -> ModelFacts:
    config = llm.llm_engine.vllm_config
    gpus = int(config.parallel_config.tensor_parallel_size)
    device = str(config.device_config.device_type)
    revision = request.args.get("revision")
    return ModelFacts(
        revision=profile.revision,
        weight_hash=combined_hash(weight_hash(request.path, revision), options.adapter),
        dtype=str(config.model_config.dtype).removeprefix("torch."),
        device=f"{device} x {gpus}" if gpus > 1 else device,
        eos_token_ids=end_ids(profile.declared_end_ids, request.eos_tokens, profile.tokenizer),
    )
