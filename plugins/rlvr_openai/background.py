"""An event loop in a thread of its own, so that requests go on while the caller stores and verifies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
CLOSING_S = 5.0
"""Longest wait for connections to close; the thread is a daemon, so that leaving it behind cannot hold the process."""


class Background:
    """Runs coroutines; every wait of the caller can be interrupted from the keyboard."""

    def __init__(self, name: str) -> None:
        """Starts the thread."""
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begins the work and returns at once."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work gives."""
        future = self.start(work)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Ends all work under way, then runs `last` and stops the thread; a second call does nothing."""
        if self._closed:
            return
        self._closed = True

        async def wind_up() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await last()

        try:
            self.start(wind_up()).result(timeout=CLOSING_S)
        except TimeoutError:
            pass
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=CLOSING_S)
            if not self._thread.is_alive():
                self._loop.close()
