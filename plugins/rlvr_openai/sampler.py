"""The `openai` sampler: profiles and opens served models."""

from __future__ import annotations

import asyncio
from typing import Any

from rlvr_harness import ModelRequest
from rlvr_openai.dialect import first_dialect
from rlvr_openai.model import ServedModel
from rlvr_openai.profile import OpenAIProfile
from rlvr_openai.settings import Settings, read_settings
from rlvr_openai.transport import Transport
from rlvr_openai.usage import Traffic


class OpenAISampler:
    """vLLM, SGLang, llama.cpp, TGI, transformers, hosted services: whatever answers to OpenAI's API."""

    name = "openai"
    description = "any OpenAI-compatible server: --model_args base_url=http://HOST:PORT, key in OPENAI_API_KEY"

    def profile(self, request: ModelRequest) -> OpenAIProfile:
        """What the server's list and the tokenizer given say. Raises ModelError where it cannot be reached."""
        settings = read_settings(request)
        return OpenAIProfile(settings, _entry(settings))

    def open(self, request: ModelRequest) -> ServedModel:
        """The served model; what its server takes is found out with the first request."""
        settings = read_settings(request)
        entry = _entry(settings)
        owner = entry.get("owned_by")
        return ServedModel(settings, entry, first_dialect(settings, str(owner) if owner else None))


def _entry(settings: Settings) -> dict[str, Any]:
    """What the server's list says of the model; empty where it has no list, or the model is not on it."""

    async def ask() -> dict[str, dict[str, Any]]:
        transport = Transport(settings, Traffic())
        try:
            return await transport.served_models()
        finally:
            await transport.close()

    return asyncio.run(ask()).get(settings.model, {})
