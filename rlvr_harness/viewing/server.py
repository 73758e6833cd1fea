"""The web server of one run folder: guards, hands requests to the pages, streams searches, stores marks."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

from aiohttp import web

from rlvr_harness.errors import HarnessError, UsageError
from rlvr_harness.parts.reading import PartVanished
from rlvr_harness.viewing import listing_pages, reading_pages
from rlvr_harness.viewing.asked import BadRequest, NotThere
from rlvr_harness.viewing.guard import HEADERS, Guard
from rlvr_harness.viewing.index import Index, Snapshot
from rlvr_harness.viewing.marking import store_mark
from rlvr_harness.viewing.pictures import Loader, Pictures
from rlvr_harness.viewing.queries import Queries
from rlvr_harness.viewing.rendering import SPLIT, STATIC, Renderer, Request, task_of
from rlvr_harness.viewing.searching import MOST_HITS, Progress, Search

REFRESH_S = 2.0
"""A run commits every two seconds; looking more often shows nothing new."""
MOST_FORM_BYTES = 64 * 1024
JUDGE_DAYS = 365
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Page = Callable[[Renderer, Snapshot, Request], str]
PAGES: dict[str, Page] = {
    "/": listing_pages.home,
    "/problems": listing_pages.problems,
    "/problem": reading_pages.problem,
    "/sample": reading_pages.sample,
    "/verifiers": listing_pages.verifiers,
    "/audit": reading_pages.audit,
}


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0


class Server:
    """Answers requests from an index."""

    def __init__(self, index: Index, guard: Guard, load_pictures: Loader | None = None) -> None:
        """Not listening yet. `load_pictures` is called for tasks that may show pictures; without it none are shown."""
        self.index = index
        self.guard = guard
        self.renderer = Renderer(Queries(index), guard, Pictures(load_pictures))
        self._refreshing: asyncio.Future[Snapshot] | None = None

    def application(self) -> web.Application:
        """The routes, behind the guard."""
        app = web.Application(middlewares=[self._guarded], client_max_size=MOST_FORM_BYTES)
        app.on_response_prepare.append(_add_headers)
        for path, page in PAGES.items():
            app.router.add_get(path, partial(self._show, page))
        app.router.add_get("/samples", self._samples)
        app.router.add_get("/raw", self._raw)
        app.router.add_get("/picture", self._picture)
        app.router.add_get("/live", self._live)
        app.router.add_post("/mark", self._mark)
        app.router.add_static("/static", STATIC)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self.guard.host_fits(request.headers.get("Host", "")):
            return _plain(403, "this server answers only to localhost; open it by the address that it printed")
        given = request.query.get("token")
        if self.guard.token and given is not None and self.guard.token_fits(given):
            rest = {name: value for name, value in request.query.items() if name != "token"}
            answer = web.Response(status=303, headers={"Location": _back(str(request.rel_url.with_query(rest)))})
            answer.set_cookie(self._cookie(request, "s"), self.guard.session, httponly=True, samesite="Strict")
            return answer
        if not self.guard.session_fits(request.cookies.get(self._cookie(request, "s"), "")):
            return _plain(401, "open the address with ?token=... that `rlvr-harness view` printed")
        try:
            return await handler(request)
        except (HarnessError, PartVanished) as error:
            return await self._fault(request, error)

    def _cookie(self, request: web.Request, name: str) -> str:
        """Cookies are shared by all ports of a host, so the name holds the port."""
        bound = request.transport.get_extra_info("sockname") if request.transport else None
        return f"rlvr_view_{name}_{bound[1] if bound else 0}"

    async def _fault(self, request: web.Request, error: HarnessError | PartVanished) -> web.Response:
        status = 400 if isinstance(error, BadRequest) else 404 if isinstance(error, NotThere) else 500
        fault = error if isinstance(error, HarnessError) else HarnessError("the run is merging its parts; try again")
        page = partial(reading_pages.error, fault=fault)
        text = page(self.renderer, self.index.snapshot, self._asked(request))
        return web.Response(text=text, status=status, content_type="text/html")

    def _asked(self, request: web.Request) -> Request:
        judge = unquote(request.cookies.get(self._cookie(request, "j"), ""))[:100]
        return Request(request.path, dict(request.query), judge)

    async def _snapshot(self) -> Snapshot:
        """The latest state; a look at the folder begins behind it, and is waited for when it is quick."""
        if self._refreshing is None and self.index.due(REFRESH_S):
            self._refreshing = asyncio.ensure_future(asyncio.to_thread(self.index.refresh))
            self._refreshing.add_done_callback(self._refreshed)
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing], timeout=0.2)
        return self.index.snapshot

    def _refreshed(self, done: asyncio.Future[Snapshot]) -> None:
        self._refreshing = None
        if not done.cancelled() and (error := done.exception()) is not None:
            print(f"the folder was not read again: {error}", flush=True)

    async def _made(self, page: Page, request: web.Request) -> str:
        """A page, made again from a new look at the folder where parts were merged meanwhile."""
        asked = self._asked(request)
        try:
            return await asyncio.to_thread(page, self.renderer, await self._snapshot(), asked)
        except PartVanished:
            snapshot = await asyncio.to_thread(self.index.refresh)
            return await asyncio.to_thread(page, self.renderer, snapshot, asked)

    async def _show(self, page: Page, request: web.Request) -> web.StreamResponse:
        return web.Response(text=await self._made(page, request), content_type="text/html")

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        text = await self._made(reading_pages.raw, request)
        named = {"Content-Disposition": 'attachment; filename="sample.txt"'}
        return web.Response(text=text, content_type="text/plain", headers=named)

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        snapshot, asked = await self._snapshot(), self._asked(request)
        picture = await asyncio.to_thread(reading_pages.picture, self.renderer, snapshot, asked)
        return web.Response(body=picture.content, content_type=picture.content_type)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        snapshot = await self._snapshot()
        return web.json_response({"generation": snapshot.generation, "samples": snapshot.samples})

    async def _samples(self, request: web.Request) -> web.StreamResponse:
        page = await self._made(listing_pages.samples, request)
        head, streamed, tail = page.partition(SPLIT)
        if not streamed:
            return web.Response(text=page, content_type="text/html")
        asked = self._asked(request)
        search = listing_pages.search(self.renderer, self.index.snapshot, asked)
        response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
        await response.prepare(request)
        try:
            await response.write(head.encode())
            await self._stream(response, search)
            await response.write(tail.encode())
        except ConnectionError:
            return response
        finally:
            search.stop()
        await response.write_eof()
        return response

    async def _stream(self, response: web.StreamResponse, search: Search) -> None:
        """Writes what the search finds as it goes; a reader that went away raises ConnectionError or cancels."""
        steps, total = search.steps(), 0
        shown = {"task": search.task, "ids": search.snapshot.tasks[search.task].numbering.ids, "most": MOST_HITS}
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            total += len(step.hits)
            await response.write(self._found(step, total, shown).encode())
        await response.write(self._found(Progress([], 0, 0), total, {**shown, "ended": True}).encode())

    def _found(self, step: Progress, total: int, shown: dict[str, object]) -> str:
        values = {"ended": False, "hits": step.hits, "fault": step.fault, "total": total, **shown}
        return self.renderer.fragment("hits.html", **values, parts_done=step.done, parts_total=step.total)

    async def _mark(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not self.guard.form_fits(request.headers, form.get("form_secret", "")):
            return _plain(403, "this mark did not come from a page of this server; reload the page and mark again")
        snapshot = self.index.snapshot
        task_of(snapshot, form)
        mark = await asyncio.to_thread(store_mark, self.index, snapshot, form)
        if request.headers.get("X-Fragment") == "marks":
            marks = self.renderer.marks_of(mark.sample)
            answer = web.Response(text=self.renderer.fragment("marks.html", marks=marks), content_type="text/html")
        else:
            answer = web.Response(status=303, headers={"Location": _back(form.get("back", ""))})
        named = self._cookie(request, "j")
        answer.set_cookie(named, quote(mark.by), max_age=JUDGE_DAYS * 86400, httponly=True, samesite="Strict")
        return answer


def _back(given: str) -> str:
    """An address of ours to go back to; what could lead elsewhere leads to the start."""
    fits = given.startswith("/") and not given.startswith(("//", "/\\")) and given.isprintable()
    return quote(given, safe="/?&=#%+.-_~:;,@!$'()*") if fits else "/"


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n", content_type="text/plain")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    if request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-cache"


def listening(address: Address) -> socket.socket:
    """A socket at the address. Raises UsageError where it cannot be had."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        place = f"{address.host}, port {address.port}"
        raise UsageError(f"cannot listen at {place}: {reason}; choose --port 0, or another --host") from error


def serve(
    folder: Path, address: Address, token: str | None, ready: Callable[[str], None], load_pictures: Loader
) -> None:
    """Serves until SIGINT or SIGTERM; `ready` is given the address to open, with the token where one is needed."""
    guard = Guard.make(address.host, token)
    with listening(address) as taken, Index(folder) as index:
        port = taken.getsockname()[1]
        host = f"[{address.host}]" if ":" in address.host else address.host
        shown = f"http://{host}:{port}/" + (f"?token={quote(guard.token, safe='')}" if guard.token else "")
        with _signals_kept():
            asyncio.run(_serve(Server(index, guard, load_pictures), taken, lambda: ready(shown)))


async def _serve(server: Server, taken: socket.socket, ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    # A handler is cancelled when its reader goes away: that is how a search ends when its page is left.
    runner = web.AppRunner(server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, taken).start()
        ready()
        await stopped.wait()
    finally:
        await runner.cleanup()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Puts back whoever handled the signals before; the event loop forgets them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
