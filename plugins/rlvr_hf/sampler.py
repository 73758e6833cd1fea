"""The `hf` sampler: checks a checkpoint and opens it through lm-eval."""

from __future__ import annotations

import dataclasses
import logging

from rlvr_harness import (
    CheckpointProfile,
    EarlyEnd,
    ModelError,
    ModelRequest,
    PictureCheckpoint,
    check_checkpoint,
    first_line,
    open_lm,
    sees_pictures,
    trusts_remote_code,
)
from rlvr_hf.adapters import check_adapter
from rlvr_hf.fleet import Fleet
from rlvr_hf.model import HfModel
from rlvr_hf.pictures import PicturePrompts


class HfSampler:
    """transformers on a CPU, one GPU or several."""

    name = "hf"
    description = "transformers: any causal LM on a CPU or GPUs, prompts prefilled once, one seed per sample"

    def profile(self, request: ModelRequest) -> CheckpointProfile:
        """Tokenizer and context, without weights."""
        check_checkpoint(request)
        check_adapter(request)
        return PictureCheckpoint(request) if sees_pictures(request) else CheckpointProfile(request)

    def open(self, request: ModelRequest) -> HfModel | Fleet:
        """The model, opened by lm-eval's `hf`; with several devices one for each."""
        devices = _checked_devices(request.device)
        if len(devices) > 1:
            return Fleet(request, devices, open_here)
        return open_here(dataclasses.replace(request, device=devices[0]))

    def open_beside(self, request: ModelRequest, ending: EarlyEnd) -> Fleet:
        """The model in processes of its own, also with one device; see `SideBySideSampler`."""
        return Fleet(request, _checked_devices(request.device), open_here, ending)


def devices_of(asked: str | None) -> list[str]:
    """The devices of `--device`; `0` is short for `cuda:0`. "0,1" -> ["cuda:0", "cuda:1"]."""
    import torch

    if asked is None:
        return ["cuda" if torch.cuda.is_available() else "cpu"]
    named = [name.strip() for name in asked.split(",") if name.strip()]
    if not named:
        raise ModelError(f"--device {asked!r} names no device; give cpu, cuda, cuda:1, or several as 0,1")
    return [f"cuda:{name}" if name.isdecimal() else name for name in named]


def open_here(request: ModelRequest) -> HfModel:
    """The model in this process, on the one device of the request. Raises ModelError."""
    import torch
    from safetensors import SafetensorError

    check_checkpoint(request)
    check_adapter(request)
    if request.threads:
        torch.set_num_threads(request.threads)
    arguments = {"dtype": "auto", **request.args, "pretrained": request.path}
    arguments.pop("peft", None)
    if not request.allow_pickle:
        arguments["use_safetensors"] = True
    arguments["trust_remote_code"] = trusts_remote_code(request)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        if sees_pictures(request):
            pictures = PicturePrompts(PictureCheckpoint(request))
            return HfModel(request, open_lm("hf-multimodal", arguments, request.device), pictures)
        return HfModel(request, open_lm("hf", arguments, request.device))
    except SafetensorError as error:
        raise ModelError(
            f"model '{request.path}': its weights are damaged or cut short: {first_line(error)}"
        ) from error


def _checked_devices(asked: str | None) -> list[str]:
    devices = devices_of(asked)
    for device in devices:
        _check_device(device, asked)
    return devices


def _check_device(device: str, asked: str | None) -> None:
    import torch

    try:
        torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"--device {asked}: torch knows no device '{device}'; give cpu, cuda or cuda:1") from error
    if not device.startswith("cuda"):
        return
    if not torch.cuda.is_available():
        raise ModelError(f"--device {asked}: torch {torch.__version__} sees no CUDA device; use --device cpu")
    number, there = device.partition(":")[2], torch.cuda.device_count()
    if number.isdecimal() and int(number) >= there:
        raise ModelError(f"--device {asked}: there is no {device}; this machine has {there} CUDA device(s), from 0")
