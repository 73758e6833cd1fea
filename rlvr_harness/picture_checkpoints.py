"""Checkpoints that see pictures, for every sampler: their profile, and prompts with the model's words for a picture."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_harness.checkpoints import CheckpointProfile, trusts_remote_code
from rlvr_harness.errors import ModelError, first_line
from rlvr_harness.records import Problem
from rlvr_harness.requests import ModelRequest


def sees_pictures(request: ModelRequest) -> bool:
    """Whether config.json describes a model that transformers opens with a vision tower."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    try:
        config = AutoConfig.from_pretrained(request.path, **_options(request))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False  # the profile that follows says what is wrong with config.json
    known: bool = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return known and getattr(config, "vision_config", None) is not None


class PictureCheckpoint(CheckpointProfile):
    """The profile of a model that sees pictures: a `PictureProfile`. `processor` is that of transformers."""

    reads_images = True

    def __init__(self, request: ModelRequest) -> None:
        """Reads tokenizer, config and processor; raises ModelError naming what is missing."""
        super().__init__(request)
        import transformers

        load: Any = transformers.AutoProcessor.from_pretrained
        try:
            self.processor: Any = load(request.path, **_options(request))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
            raise ModelError(
                f"model '{request.path}': its picture processor cannot be used: {first_line(error)}"
            ) from error
        if self.chat_template_hash is None and getattr(self.processor, "chat_template", None):
            self.tokenizer.chat_template = self.processor.chat_template
            self.chat_template_hash = hashlib.sha256(str(self.processor.chat_template).encode()).hexdigest()
        self._placeholder = self._find_placeholder()

    def render_chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> str:
        """The chat template applied; where a message has the mark of a picture, the template puts its own words."""
        parted = [{**message, "content": _parts(message["content"])} for message in messages]
        return super().render_chat(parted, add_generation_prompt)

    def count_tokens_with(self, prompt: str, images: Sequence[bytes]) -> int:
        """Length of the prompt in tokens, those of its pictures included."""
        return int(self.encode(prompt, images)["input_ids"].shape[1]) if images else self.count_tokens(prompt)

    def placed(self, prompt: str, count: int) -> str:
        """The prompt with the model's words for its `count` pictures: as rendered, at its marks, or before it."""
        if self._placeholder in prompt or not count:
            return prompt
        if Problem.IMAGE_MARK in prompt:
            return self._placeholder.join(prompt.split(Problem.IMAGE_MARK, count))
        return f"{self._placeholder}\n" * count + prompt

    def encode(self, prompt: str, images: Sequence[bytes], copies: int = 1) -> dict[str, Any]:
        """Tensors by the name that the model's `forward` knows them by. Raises ModelError."""
        text = self.placed(prompt, len(images))
        pictures = [opened_picture(image) for image in images]
        bos = self.processor.tokenizer.bos_token
        special = {"add_special_tokens": False} if bos and text.startswith(bos) else {}
        try:
            found = self.processor(text=[text] * copies, images=[pictures] * copies, return_tensors="pt", **special)
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            raise ModelError(f"the picture processor refuses a prompt: {first_line(error)}") from error
        return dict(found)

    def _find_placeholder(self) -> str:
        """What the chat template puts between two texts for a picture, else the processor's token."""
        if self.chat_template_hash is not None:
            content = [{"type": "text", "text": "\x02"}, {"type": "image"}, {"type": "text", "text": "\x03"}]
            shown = super().render_chat([{"role": "user", "content": content}])  # type: ignore[dict-item]
            between = shown.partition("\x02")[2].partition("\x03")[0].strip()
            if between:
                return between
        return str(getattr(self.processor, "image_token", Problem.IMAGE_MARK))


def opened_picture(image: bytes) -> Any:
    """The file as a PIL picture in RGB. Raises ModelError where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(image)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ModelError(f"a picture of {len(image)} bytes cannot be read: {first_line(error)}") from error


def _options(request: ModelRequest) -> dict[str, Any]:
    return {"trust_remote_code": trusts_remote_code(request), "revision": request.args.get("revision", "main")}


def _parts(content: Any) -> Any:
    """A message's text in the parts that picture templates know. "a<image>b" -> text a, image, text b."""
    if not isinstance(content, str):
        return content
    parts: list[dict[str, str]] = []
    for number, text in enumerate(content.split(Problem.IMAGE_MARK)):
        parts += [{"type": "image"}] if number else []
        parts += [{"type": "text", "text": text}] if text else []
    return parts
