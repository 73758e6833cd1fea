"""Requests over HTTP that are repeated until they succeed or cannot: dropped, slow, busy and broken answers."""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rlvr_harness import ModelError, first_line
from rlvr_openai.settings import Settings
from rlvr_openai.usage import Traffic, read_usage

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
LONGEST_WAIT_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0
"""A server that asks for a longer pause has run out of quota: the run stops and can be resumed later."""
CONNECT_S = 20.0
REFUSED = frozenset({400, 413, 422})
TEMPORARY = frozenset({408, 409, 425, 429, 499})
"""Besides all from 500 on."""


class Refused(Exception):
    """The server refuses the request as it is; `fields` are those that it names, `text` is what it says."""

    def __init__(self, status: int, text: str, fields: tuple[str, ...] = ()) -> None:
        """`fields`: names from the structured part of the answer."""
        super().__init__(text)
        self.status, self.text, self.fields = status, text, fields


class Malformed(Exception):
    """An answer of status 200 that holds no completions."""


class Failed(ModelError):
    """A request failed too often; `answered`: the server is there, and says that it cannot."""

    def __init__(self, answered: bool, text: str) -> None:
        """`text` is for the user."""
        super().__init__(text)
        self.answered = answered


@dataclass(frozen=True)
class _Fault:
    """Why an attempt failed, and for how long the server asks to be left alone."""

    text: str
    retry_after_s: float | None = None
    answered: bool = False


@dataclass(frozen=True)
class _Call(Generic[T]):
    """A request, and what is to be made of its answer."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    read: Callable[[Mapping[str, Any]], T]


class Transport:
    """One server; to be used inside one event loop."""

    def __init__(self, settings: Settings, traffic: Traffic) -> None:
        """`traffic` is counted up."""
        self._settings, self._traffic = settings, traffic
        self._session: aiohttp.ClientSession | None = None
        self._quiet_until = 0.0

    async def close(self) -> None:
        """Drops all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, tries: int = 3) -> dict[str, Any] | None:
        """The answer's JSON; None where the server does not know the path or fails at it. Raises ModelError."""
        try:
            return await self._repeat(_Call("GET", path, None, dict), tries)
        except Failed as failed:
            if failed.answered:
                return None
            raise
        except Refused as refused:
            if refused.status in (400, 404, 405, 422, 501):
                return None
            raise ModelError(f"{self._settings.root}{path}: {refused.text}") from refused

    async def post(self, path: str, body: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T:
        """What `read` makes of the answer; where it raises Malformed, the request is repeated.

        Raises Refused where the server does not take the request, ModelError where it fails for good.
        """

        def counted(answer: Mapping[str, Any]) -> T:
            self._traffic.count(read_usage(answer))
            return read(answer)

        try:
            return await self._repeat(_Call("POST", path, body, counted), self._settings.max_retries + 1)
        except Refused as refused:
            if refused.status in (404, 405):
                raise ModelError(await self._not_found(path, refused)) from refused
            raise

    async def _repeat(self, call: _Call[T], tries: int) -> T:
        fault = _Fault("no attempt was made")
        for attempt in range(tries):
            if attempt:
                self._traffic.repeated += 1
            await self._pause(attempt, fault)
            found = await self._attempt(call)
            if isinstance(found, _Fault):
                fault = found
                continue
            try:
                return call.read(found)
            except Malformed as error:
                fault = _Fault(first_line(error))
        raise Failed(
            fault.answered,
            f"the server at {self._settings.root} failed {tries} times in a row, last with: {fault.text}; "
            "see that it runs and can be reached, then resume the run",
        )

    async def _pause(self, attempt: int, fault: _Fault) -> None:
        """Exponential back-off with full jitter; what a server asks for is waited in full, by all requests."""
        if fault.retry_after_s is not None:
            self._quiet_until = max(self._quiet_until, time.monotonic() + fault.retry_after_s)
        longest = min(LONGEST_WAIT_S, self._settings.retry_wait_s * 2 ** (attempt - 1)) if attempt else 0.0
        quiet = max(0.0, self._quiet_until - time.monotonic())
        await asyncio.sleep(quiet + random.uniform(0.0, longest))

    async def _attempt(self, call: _Call[T]) -> dict[str, Any] | _Fault:
        import aiohttp

        self._traffic.requests += 1
        try:
            async with self._opened().request(call.method, self._settings.root + call.path, json=call.body) as response:
                content = await response.read()
                return self._judge(response.status, response.headers, content)
        except TimeoutError:
            return _Fault(f"no answer within {self._settings.timeout_s:g} s (timeout=SECONDS in --model_args)")
        except (aiohttp.ClientError, OSError) as error:
            return _Fault(f"{type(error).__name__}: {self._settings.hide(first_line(error))}")

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            settings = self._settings
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {settings.key}"} if settings.key else {},
                timeout=aiohttp.ClientTimeout(
                    total=settings.timeout_s, sock_connect=min(CONNECT_S, settings.timeout_s)
                ),
                connector=aiohttp.TCPConnector(limit=0),
                trust_env=not settings.local,
            )
        return self._session

    def _judge(self, status: int, headers: Mapping[str, str], content: bytes) -> dict[str, Any] | _Fault:
        """The JSON of a good answer, or a fault that may pass. Raises Refused or ModelError for one that will not."""
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict) and not answer.get("error"):
            return answer
        if status == 200:
            if not isinstance(answer, dict):
                return _Fault("an answer that is no JSON or was cut short")
            status = _status_inside(answer)
        text = self._settings.hide(_message(answer, content))
        if status in (401, 403):
            state = "was refused" if self._settings.key else "is not set"
            raise ModelError(
                f"{self._settings.root} refuses access ({status}: {text}); the key is read from the environment "
                f"variable {self._settings.key_variable}, which {state} (another one: api_key_env=NAME)"
            )
        if status in (402,) or "insufficient_quota" in str(answer):
            raise ModelError(f"{self._settings.root}: the account has no credit left: {text}; top up and resume")
        if status in TEMPORARY or status >= 500:
            return _Fault(f"{status} {text}", self._retry_after(headers, text), answered=True)
        raise Refused(status, text, _fields(answer))

    def _retry_after(self, headers: Mapping[str, str], text: str) -> float | None:
        """Seconds that the server asks for. "2" -> 2.0; "Fri, 31 Dec 1999 23:59:59 GMT" -> what is left until then."""
        value = headers.get("Retry-After", "").strip()
        if not value:
            return None
        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except ValueError:
                return None
        if seconds > LONGEST_RETRY_AFTER_S:
            raise ModelError(
                f"{self._settings.root} asks for a pause of {seconds:,.0f} s ({text}); resume the run then"
            )
        return max(0.0, seconds)

    async def _not_found(self, path: str, refused: Refused) -> str:
        served = await self.served_models()
        names = ", ".join(sorted(served)) or "unknown"
        what = f"{self._settings.root}{path} answers {refused.status}: {refused.text}"
        return (
            f"{what}; asked for model '{self._settings.model}', models served: {names}; see base_url and endpoint too"
        )

    async def served_models(self) -> dict[str, dict[str, Any]]:
        """Name -> what the server says of the model; empty where it does not tell."""
        answer = await self.get("/models")
        rows = (answer or {}).get("data")
        rows = rows if isinstance(rows, list) else []
        return {str(row["id"]): row for row in rows if isinstance(row, dict) and "id" in row}


def _status_inside(answer: Mapping[str, Any]) -> int:
    """The status of an error that came as an answer of status 200, as gateways send it."""
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdigit()) else 502


def _message(answer: Any, content: bytes) -> str:
    """What the server says, in one line. {"error": {"message": "too long"}} -> "too long"."""
    found: Any = answer
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    if isinstance(found, list):
        found = "; ".join(
            f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg', item)}"
            if isinstance(item, dict)
            else str(item)
            for item in found
        )
    text = content.decode("utf-8", "replace") if found is None else str(found)
    return " ".join(text.split())[:300] or "no message"


def _fields(answer: Any) -> tuple[str, ...]:
    """Fields that an answer names apart from its text: OpenAI's `param`, FastAPI's `loc`."""
    if not isinstance(answer, dict):
        return ()
    error = answer.get("error") if isinstance(answer.get("error"), dict) else answer
    named = [str(error["param"])] if error and error.get("param") else []
    detail = answer.get("detail")
    for item in detail if isinstance(detail, list) else ():
        if isinstance(item, dict):
            named += [str(part) for part in item.get("loc", ()) if isinstance(part, str) and part != "body"]
    return tuple(named)
