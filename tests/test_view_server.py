"""The browser of a run as a client meets it: pages, headers, token, Host, forms, hostile texts."""

import asyncio
import re
import socket
from contextlib import contextmanager
from html.parser import HTMLParser

import pytest
from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from rlvr_harness.errors import RunFolderError, UsageError
from rlvr_harness.marks import read_marks
from rlvr_harness.records import Problem
from rlvr_harness.run_store import RunStore
from rlvr_harness.viewing.guard import Guard
from rlvr_harness.viewing.index import Index
from rlvr_harness.viewing.server import Address, Server, listening
from tests import view_fakes as fakes

HOSTILE = (
    "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"
    "[x](javascript:window.hacked=1) $\\href{javascript:window.hacked=1}{x}$ $\\htmlClass{top}{x}$"
    " \x00 \x1b[31m \u202e"
)
TASK = "<b onclick=x>'\"\x1b\u202e/.."
PAGES = ("/", "/problems", "/problem?id=p2", "/sample?id=p2&model=base&index=3", "/samples", "/samples?q=step")
PAGES += ("/verifiers", "/audit", "/problem?id=absent", "/samples?outcome=zz")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "r"
    fakes.write_run(folder)
    return folder


@contextmanager
def asking(folder, guard=None, load_pictures=None):
    """ask(path, method="GET", raw=False, **options) -> (status, headers, text) of a server that lives in the same loop.

    `raw` asks for bytes instead of text.
    """
    with Index(folder) as index, asyncio.Runner() as runner:
        server = Server(index, guard or Guard.make("127.0.0.1", None), load_pictures)
        client = runner.run(_started(server.application()))

        async def request(path, method="GET", raw=False, **options):
            async with client.request(method, path, allow_redirects=False, **options) as answer:
                return answer.status, answer.headers, await (answer.read() if raw else answer.text())

        def ask(path, method="GET", **options):
            return runner.run(request(path, method, **options))

        ask.guard = server.guard
        try:
            yield ask
        finally:
            runner.run(client.close())


async def _started(app: web.Application):
    client = TestClient(TestServer(app), cookie_jar=DummyCookieJar())
    await client.start_server()
    return client


class Tags(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.words = ""
        self.feed(page)

    def handle_data(self, data):
        self.words += data

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def assert_nothing_of_the_text_acts(page):
    for tag, attributes in Tags(page).tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert all(re.fullmatch("[a-z][a-z0-9-]*", name) for name in attributes), attributes  # no quote ends one early
        assert not set("\x00\x1b\u202e") & set(attributes.get("aria-label", "")), attributes
        assert tag not in ("iframe", "object", "embed", "base", "style")
        if tag == "script":
            assert attributes["src"].startswith("/static/")
        if tag == "img":
            raise AssertionError(attributes)
        for name in ("href", "src", "action"):
            assert attributes.get(name, "/").startswith(("/", "#"))
    # Values of form fields are sent back as they are; nobody reads them.
    assert not set("\x00\x1b\u202e") & set(Tags(page).words)


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_forbids_what_a_text_could_do(run, path):
    with asking(run) as ask:
        _, headers, page = ask(path)
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert_nothing_of_the_text_acts(page)


def test_pages_that_cannot_be_shown_say_why(run):
    with asking(run) as ask:
        for path, status, words in (
            ("/problem?id=absent", 404, "has no problem &#39;absent&#39;"),
            ("/problem?task=absent&id=p0", 404, "has no task"),
            ("/sample?id=p2&model=base&index=400", 404, "has no sample 400"),
            ("/sample?id=p2&model=base&index=x", 400, "index is a whole number"),
            ("/samples?outcome=zz", 400, "outcome is one of"),
            ("/problems?least.base=-1", 400, "least.base is a whole number"),
            ("/samples?q=" + "a" * 1001, 400, "1,000 is the most"),
            ("/verifiers?first=absent", 404, "has no verdicts of"),
        ):
            answer = ask(path)
            assert (answer[0], words in answer[2]) == (status, True), path


def test_a_problem_page_shows_prompt_reference_and_both_models(run):
    with asking(run) as ask:
        page = ask("/problem?task=t&id=p2&outcome=right&size=25")[2]
        sample = ask("/sample?task=t&id=p2&model=base&index=3")[2]
        listed = ask("/problems?quadrant=base_only")[2]
    assert "What is 2?" in page
    assert page.count('<article class="card o-right"') == 20
    assert "base thinks about 2, step 2:" in page and "model thinks about 2, step 2:" in page
    assert "strict" in sample and "sample 4 →" in sample and "← sample 2" in sample
    assert re.findall(r'href="/problem\?task=t&amp;id=(\w+)"', listed) == ["p0"]


def test_a_search_streams_its_hits_and_says_that_it_ended(run):
    with asking(run) as ask:
        page = ask("/samples?q=STEP+39%3A")[2]
    assert page.count('<article class="hit"') == 12
    assert page.index("Searching the texts") < page.index("<mark>step 39:</mark>") < page.index("search-done")


def test_hostile_texts_names_and_answers_only_stand_there(tmp_path):
    folder = tmp_path / "r"
    with RunStore(folder) as store:
        store.write_json("run.json", {**fakes.run_json(task=TASK), "title": HOSTILE})
        store.write_problems(TASK, [Problem(TASK, HOSTILE, HOSTILE, HOSTILE, metadata={"a": HOSTILE})])
    drawn = fakes.add_text(folder, HOSTILE, HOSTILE, HOSTILE, HOSTILE, task=TASK)
    (folder / "audit").mkdir()
    key = {"task": TASK, "model": "base", "problem_id": HOSTILE}
    (folder / "audit" / "queue.jsonl").write_text(fakes.queue_line(**key, index=0, why=HOSTILE))
    values = {"task": TASK, "id": HOSTILE, "model": "base", "index": "0"}
    with asking(folder) as ask:
        form = {
            **values,
            "judgement": "right",
            "by": HOSTILE[:40],
            "note": HOSTILE,
            "form_secret": ask.guard.form_secret,
        }
        assert ask("/mark", "POST", data=form)[0] == 303
        for path in ("/", "/problems", "/problem", "/sample", "/samples", "/verifiers", "/audit"):
            status, _, page = ask(path, params=values)
            assert status == 200
            assert_nothing_of_the_text_acts(page)
            assert path in ("/", "/verifiers") or "window.hacked" in page
        assert ask("/samples", params={**values, "q": "<script>"})[2].count("<mark>&lt;script&gt;</mark>") == 1
        status, headers, text = ask("/raw", params=values)
    assert (text, headers["Content-Type"]) == (drawn.text, "text/plain; charset=utf-8")
    assert headers["Content-Disposition"].startswith("attachment")


def test_a_line_of_a_megabyte_is_cut_and_offered_as_a_file(tmp_path):
    folder = tmp_path / "r"
    with RunStore(folder) as store:
        store.write_json("run.json", fakes.run_json())
    fakes.add_text(folder, "x" * 1_000_000 + "END")
    with asking(folder) as ask:
        page = ask("/sample?id=p&model=base&index=0")[2]
        column = ask("/problem?id=p")[2]
        raw = ask("/raw?id=p&model=base&index=0")[2]
    assert len(column) < 20_000 and len(page) < 220_000 and "END" in page and "END" in column
    assert len(raw) == 1_000_003


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9", 200),
        ("127.0.0.1", 200),
        ("[::1]:8", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ],
)
def test_on_loopback_a_foreign_host_name_is_refused(run, host, status):
    with asking(run) as ask:
        assert ask("/live", headers={"Host": host})[0] == status


def test_a_token_is_asked_for_once(run):
    with asking(run, Guard.make("0.0.0.0", "s3cr+t é")) as ask:
        assert ask("/")[0] == 401 and ask("/", params={"token": "wrong"})[0] == 401
        assert ask("/static/view.js")[0] == 401
        assert ask("/", cookies={"rlvr_view_s_0": "x"})[0] == 401
        status, headers, _ = ask("/problems", params={"token": "s3cr+t é", "q": "4"})
        assert (status, headers["Location"]) == (303, "/problems?q=4")
        assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]
        assert "s3cr" not in headers["Set-Cookie"]
        name, _, value = headers["Set-Cookie"].partition(";")[0].partition("=")
        assert ask("/problems", headers={"Cookie": f"{name}={value}"})[0] == 200
        assert ask("/problems", headers={"Cookie": f"{name}={value[:-1]}"})[0] == 401


def mark_form(guard, **changes):
    form = {
        "task": "t",
        "model": "base",
        "id": "p2",
        "index": "3",
        "judgement": "wrong",
        "by": "ada",
        "note": "circular",
    }
    return {**form, "form_secret": guard.form_secret, **changes}


def test_a_mark_is_stored_and_shown(tmp_path):
    fakes.write_run(tmp_path / "r", commits=1)
    with asking(tmp_path / "r") as ask:
        status, headers, _ = ask("/mark", "POST", data=mark_form(ask.guard, back="/sample?id=p2&index=3#s"))
        assert (status, headers["Location"]) == (303, "/sample?id=p2&index=3#s")
        again = ask("/mark", "POST", data=mark_form(ask.guard, by="bob"), headers={"X-Fragment": "marks"})
        assert again[0] == 200 and again[2].count("circular") == 2
        page = ask("/sample?id=p2&model=base&index=3")[2]
    assert page.count("✗ wrong</span> by") == 2
    stored = [(mark.sample, mark.judgement, mark.by, mark.note) for mark in read_marks(tmp_path / "r")]
    assert stored == [(("t", "base", "p2", 3), "wrong", by, "circular") for by in ("ada", "bob")]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"form_secret": "guessed"}, 403),
        ({"judgement": "maybe"}, 400),
        ({"by": "  "}, 400),
        ({"by": "a" * 101}, 400),
        ({"note": "a" * 4001}, 400),
        ({"index": "999"}, 404),
        ({"index": ""}, 404),
        ({"model": "../x"}, 404),
        ({"id": "absent"}, 404),
        ({"note": "a" * 100_000}, 413),
    ],
    ids=str,
)
def test_a_mark_that_is_none_is_not_stored(run, changes, status):
    with asking(run) as ask:
        assert ask("/mark", "POST", data=mark_form(ask.guard, **changes))[0] == status
    assert read_marks(run) == []


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/\r\nX: y"])
def test_a_mark_never_leads_to_another_site(tmp_path, back):
    fakes.write_run(tmp_path / "r", commits=1)
    with asking(tmp_path / "r") as ask:
        assert ask("/mark", "POST", data=mark_form(ask.guard, back=back))[1]["Location"] == "/"


def test_a_mark_is_not_made_by_following_a_link(run):
    with asking(run) as ask:
        assert ask("/mark", params=mark_form(ask.guard))[0] == 405


def test_a_folder_that_is_no_run_and_a_taken_port_are_named(tmp_path):
    with pytest.raises(RunFolderError, match=r"holds no run\.json"):
        Index(tmp_path)
    with pytest.raises(RunFolderError, match="is no folder"):
        Index(tmp_path / "absent")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="choose --port 0"):
        listening(Address("127.0.0.1", taken.getsockname()[1]))


def test_the_command_prints_its_address_and_ends_on_a_signal(run):
    import os
    import subprocess
    import sys
    import urllib.request

    command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", "view", str(run), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url) as answer:
            assert b"480 samples" in answer.read()
        process.terminate()
        assert process.wait(30) == 0
        assert process.stderr.read() == "Ctrl-C ends it\n"
