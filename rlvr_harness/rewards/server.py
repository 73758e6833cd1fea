"""The reward over HTTP: OpenRLHF's remote protocol, with back-pressure, health and metrics."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlvr_harness.errors import UsageError
from rlvr_harness.records import Verdict
from rlvr_harness.rewards.opening import Rewards
from rlvr_harness.rewards.reward import reward_of

if TYPE_CHECKING:
    from aiohttp import web

LATENCIES = 10_000
"""Requests that the latency quantiles of /metrics look back on."""
RETRY_AFTER_S = 1


@dataclass(frozen=True)
class ServerLimits:
    """`queue`: completions that may be under way before a request is refused with 429. `body_mb`: of one request."""

    queue: int = 4096
    body_mb: int = 64
    threads: int = 16


@dataclass
class _Meter:
    """What /metrics tells."""

    requests: int = 0
    refused: int = 0
    malformed: int = 0
    under_way: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    def quantile(self, share: float) -> float:
        """Of the latencies, in seconds; 0 before the first request."""
        known = sorted(self.seconds)
        return known[min(len(known) - 1, int(share * len(known)))] if known else 0.0


class RewardServer:
    """An aiohttp application. Every answer holds one verdict for each completion asked about, in order."""

    def __init__(self, rewards: Rewards, token: str | None = None, limits: ServerLimits | None = None) -> None:
        """`token`: asked of every request but /health, as `Authorization: Bearer` or `?token=`."""
        self._rewards, self._token, self._limits = rewards, token, limits or ServerLimits()
        self._meter = _Meter()
        self._threads = ThreadPoolExecutor(self._limits.threads, thread_name_prefix="reward")

    def application(self) -> web.Application:
        """With its routes: POST / (also /get_reward) and /v1/verdicts; GET /health and /metrics."""
        from aiohttp import web

        application = web.Application(client_max_size=self._limits.body_mb * 2**20, middlewares=[self._guard])
        application.add_routes(
            [
                web.post("/", self._answer_openrlhf),
                web.post("/get_reward", self._answer_openrlhf),
                web.post("/v1/verdicts", self._answer_verdicts),
                web.get("/health", self._tell_health),
                web.get("/metrics", self._tell_metrics),
            ]
        )
        application.on_cleanup.append(self._close)
        return application

    @property
    def _guard(self) -> Any:
        from aiohttp import web

        @web.middleware
        async def guard(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("token", "")
            open_to_all = request.path == "/health" or self._token is None
            if not open_to_all and not hmac.compare_digest(given.encode(), (self._token or "").encode()):
                return web.json_response({"error": "token missing or wrong"}, status=401)
            return await handler(request)

        return guard

    async def _close(self, _: web.Application) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._rewards.close)

    async def _answer_openrlhf(self, request: web.Request) -> web.Response:
        """{query, prompts, labels} -> {rewards, scores, extra_logs}; 0.0 and void 1.0 where there is no verdict."""
        return await self._answer(request, ("query", "labels", "prompts"), _as_openrlhf)

    async def _answer_verdicts(self, request: web.Request) -> web.Response:
        """{texts, labels, prompts (optional)} -> {verdicts: [{outcome, answer, reason}]}, null for what is no label."""
        return await self._answer(request, ("texts", "labels", "prompts"), _as_verdicts)

    async def _answer(
        self, request: web.Request, names: tuple[str, str, str], form: Callable[[Sequence[Verdict | None]], Any]
    ) -> web.Response:
        from aiohttp import web

        self._meter.requests += 1
        started = time.perf_counter()
        try:
            texts, labels, prompts = _asked(await request.json(), names)
        except (ValueError, UnicodeDecodeError) as error:
            self._meter.malformed += 1
            return web.json_response({"error": str(error)}, status=400)
        if self._meter.under_way and self._meter.under_way + len(texts) > self._limits.queue:
            self._meter.refused += 1
            told = {"error": f"{self._meter.under_way} completions are under way; try again"}
            return web.json_response(told, status=429, headers={"Retry-After": str(RETRY_AFTER_S)})
        self._meter.under_way += len(texts)
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, self._rewards.judge, texts, labels, prompts)
        finally:
            self._meter.under_way -= len(texts)
        self._meter.seconds.append(time.perf_counter() - started)
        return web.json_response(form(found))

    async def _tell_health(self, _: web.Request) -> web.Response:
        from aiohttp import web

        verifiers = {task: ".".join(both) for task, both in self._rewards.spec.verifiers.items()}
        return web.json_response({"status": "ok", "verifiers": verifiers, "under_way": self._meter.under_way})

    async def _tell_metrics(self, _: web.Request) -> web.Response:
        from aiohttp import web

        meter = self._meter
        lines = [
            f"rlvr_reward_requests_total {meter.requests}",
            f"rlvr_reward_requests_refused_total {meter.refused}",
            f"rlvr_reward_requests_malformed_total {meter.malformed}",
            f"rlvr_reward_completions_under_way {meter.under_way}",
            f"rlvr_reward_unknown_labels_total {sum(self._rewards.void.values())}",
            *(f'rlvr_reward_seconds{{quantile="{share}"}} {meter.quantile(share):.6f}' for share in (0.5, 0.95, 0.99)),
        ]
        for task, reward in self._rewards.by_task.items():
            name = json.dumps(task)
            lines += [
                f'rlvr_reward_verdicts_total{{task={name},outcome="{outcome}"}} {count}'
                for outcome, count in reward.counts().items()
            ]
        return web.Response(text="\n".join(lines) + "\n")


def check_address(host: str, token: str | None) -> None:
    """Raises UsageError where others could reach the server and no token is asked of them."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not token:
        raise UsageError(f"--host {host} can be reached from elsewhere; set a token in RLVR_HARNESS_REWARD_TOKEN")


def _asked(body: object, names: tuple[str, str, str]) -> tuple[list[str], list[object], list[str] | None]:
    if not isinstance(body, dict):
        raise ValueError(f"expected an object with {', '.join(names)}")
    texts, labels, prompts = (body.get(name) for name in names)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"'{names[0]}' is not a list of strings")
    if not isinstance(labels, list) or len(labels) != len(texts):
        raise ValueError(f"'{names[1]}' is not a list of {len(texts)} labels")
    if prompts is not None and (not isinstance(prompts, list) or len(prompts) != len(texts)):
        raise ValueError(f"'{names[2]}' is not a list of {len(texts)} prompts")
    return texts, labels, [str(prompt) for prompt in prompts] if prompts is not None else None


def _as_openrlhf(found: Sequence[Verdict | None]) -> dict[str, Any]:
    values = [None if verdict is None else reward_of(verdict) for verdict in found]
    given = [value or 0.0 for value in values]
    return {"rewards": given, "scores": given, "extra_logs": {"void": [float(value is None) for value in values]}}


def _as_verdicts(found: Sequence[Verdict | None]) -> dict[str, Any]:
    shown = [
        None if one is None else {"outcome": one.outcome.value, "answer": one.answer, "reason": one.reason}
        for one in found
    ]
    return {"verdicts": shown}
