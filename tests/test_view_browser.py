"""The pages in a real browser: filter, open, mark with keys, draw maths, and run nothing that a model wrote."""

import asyncio
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from aiohttp import web

from rlvr_harness.marks import read_marks
from rlvr_harness.viewing.guard import Guard
from rlvr_harness.viewing.index import Index
from rlvr_harness.viewing.server import Address, Server, listening
from rlvr_harness.viewing.task_pictures import load_pictures
from tests import picture_fakes
from tests import view_fakes as fakes

pytestmark = pytest.mark.slow
BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = (
    "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'><a href='javascript:window.hacked=1'>x</a> "
    "$\\href{javascript:window.hacked=1}{x}$ $\\htmlClass{top}{x}$ $\\includegraphics{http://127.0.0.1/x}$ "
    "$\\def\\a{\\a\\a}\\a$ $\\frac{1$ \\(\\boxed{<script>window.hacked=1</script>}\\) \x00\x1b[31m\u202e"
)
EXACT = "so $x^2 = 4$ and \\[\\boxed{\\frac{1}{2}}\\] costs $5 and $6"


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine; set CHROMIUM to its path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "r"
    fakes.write_run(folder)
    fakes.add_text(folder, HOSTILE, HOSTILE, HOSTILE, problem_id="hostile")
    fakes.add_text(folder, EXACT, problem_id="exact")
    (folder / "audit").mkdir()
    lines = [fakes.queue_line(index=index) for index in range(1, 4)]
    (folder / "audit" / "queue.jsonl").write_text("\n".join(lines))
    return folder


@contextmanager
def serving(folder, load_pictures=None):
    """Address of a server that answers in a thread of its own."""
    ready, stop, loop = Event(), asyncio.Event(), asyncio.new_event_loop()
    with listening(Address()) as taken, Index(folder) as index:

        async def serve():
            server = Server(index, Guard.make("127.0.0.1", None), load_pictures)
            runner = web.AppRunner(server.application(), shutdown_timeout=1.0)
            await runner.setup()
            await web.SockSite(runner, taken).start()
            ready.set()
            await stop.wait()
            await runner.cleanup()

        thread = Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        ready.wait()
        try:
            yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


@pytest.fixture(scope="module")
def site(run):
    with serving(run) as address:
        yield address


@pytest.fixture
def page(chromium, site):
    """A fresh page; whatever it says on its console, and any script error, fails the test."""
    context = chromium.new_context(base_url=site)
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []


def test_filter_problems_open_one_and_filter_its_samples(page):
    page.goto("/problems")
    page.get_by_label("Solved by").select_option("model_only")
    page.get_by_role("button", name="Filter").click()
    assert page.url.endswith("/problems?task=t&quadrant=model_only")
    page.get_by_role("link", name="p1", exact=True).click()
    page.get_by_label("Outcome").select_option("right")
    page.get_by_role("button", name="Filter").click()
    assert page.locator("section.column").nth(0).locator("article").count() == 0
    assert page.locator("section.column").nth(1).locator("article").count() == 5
    page.get_by_role("link", name="next →").first.click()
    assert page.get_by_text("page 2 of 2").count() == 2


def test_a_sample_is_marked_without_leaving_the_page(page, run):
    page.goto("/sample?task=t&id=p4&model=model&index=2")
    page.get_by_label("Judge").fill("ada")
    page.get_by_label("Note").fill("guesses")
    page.get_by_role("button", name="wrong").click()
    page.get_by_text("by ada").wait_for()
    found = [mark for mark in read_marks(run) if mark.problem_id == "p4"]
    assert [(mark.model, mark.index, mark.judgement, mark.note) for mark in found] == [("model", 2, "wrong", "guesses")]
    page.reload()
    assert page.get_by_label("Judge").input_value() == "ada"


def test_the_queue_is_worked_through_with_keys(page, run):
    page.goto("/audit")
    page.get_by_label("Judge").first.fill("eve")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.locator("#q-2.here").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("3")
    page.locator("#q-3.here").wait_for()
    found = {mark.index: mark.judgement for mark in read_marks(run) if mark.by == "eve"}
    assert found == {1: "right", 2: "unsure"}
    page.reload()
    assert page.locator("article header a").first.inner_text().endswith("#3")
    assert "1 of 3 to judge" in page.locator(".lead").inner_text()


def test_maths_is_drawn_and_the_raw_text_is_one_press_away(page):
    page.goto("/sample?task=t&id=exact&model=base&index=0")
    text = page.locator(".text.whole")
    page.locator(".text.whole .katex-display").wait_for()
    assert text.locator(".katex").count() == 2
    assert "costs $5 and $6" in text.inner_text()
    page.get_by_role("button", name="Maths").click()
    assert (text.locator(".katex").count(), text.inner_text()) == (0, EXACT)


@pytest.mark.parametrize("path", ["/problem?id=hostile", "/sample?id=hostile&model=base&index=0", "/samples?q=window"])
def test_nothing_that_a_model_wrote_runs(page, path):
    page.goto(path)
    page.locator("body").click(position={"x": 5, "y": 400})
    if "samples" not in path:
        page.locator(".text .katex").first.wait_for()
    links = page.evaluate("[...document.links].map((link) => link.protocol)")
    assert set(links) == {"http:"}
    assert page.evaluate("[window.hacked === undefined, document.images.length]") == [True, 0]


def test_every_page_reads_without_scripts(chromium, site, run):
    context = chromium.new_context(base_url=site, java_script_enabled=False)
    opened = context.new_page()
    opened.goto("/samples?q=step+39%3A")
    assert opened.locator("article.hit").count() == 12
    assert not opened.locator(".searching").is_visible()
    opened.goto("/sample?task=t&id=p5&model=base&index=7")
    opened.get_by_label("Judge").fill("noscript")
    opened.get_by_role("button", name="unsure").click()
    opened.get_by_text("by noscript").wait_for()
    context.close()


@pytest.fixture(scope="module")
def axe():
    package = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    return (Path(package.__path__[0]) / "axe.min.js").read_text(encoding="utf-8")


def assert_fits_and_is_accessible(opened, axe, path):
    opened.evaluate(axe)
    found = opened.evaluate("axe.run()")["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == [], path
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1600])
def test_pages_fit_and_have_no_serious_fault_of_access(chromium, site, axe, scheme, width):
    context = chromium.new_context(base_url=site, color_scheme=scheme, viewport={"width": width, "height": 900})
    opened = context.new_page()
    paths = ("/", "/problems", "/problem?id=p2", "/problem?id=hostile", "/sample?id=exact&model=base&index=0", "/audit")
    for path in (*paths, "/samples", "/samples?q=step", "/verifiers", "/problem?id=absent"):
        opened.goto(path)
        assert_fits_and_is_accessible(opened, axe, path)
    context.close()


@pytest.fixture(scope="module")
def picture_site(tmp_path_factory):
    """A run with a wide picture and a tall one, larger than any window, and its queue."""
    top = tmp_path_factory.mktemp("pictures")
    pictures = [picture_fakes.drawing(size=(2400, 700)), picture_fakes.drawing("WEBP", (300, 2000)), b"<svg/>"]
    folder = picture_fakes.write_run(top / "run", picture_fakes.write_data(top / "data", pictures))
    (folder / "audit").mkdir()
    lines = [fakes.queue_line(task="mathvision", model="model", problem_id=str(number)) for number in range(3)]
    (folder / "audit" / "queue.jsonl").write_text("\n".join(lines))
    with serving(folder, lambda snapshot, task: load_pictures(snapshot, task, None)) as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pictures_are_seen_within_their_column(chromium, picture_site, axe, scheme, width):
    context = chromium.new_context(base_url=picture_site, color_scheme=scheme, viewport={"width": width, "height": 900})
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    for path, number, natural in (
        ("/problem?id=0", 0, 2400),
        ("/problem?id=1", 1, 300),
        ("/sample?id=1&model=model&index=1", 1, 300),
        ("/audit", 0, 2400),
    ):
        opened.goto(path)
        picture = opened.get_by_role("link", name=f"picture 1 of problem {number}", exact=True).locator("img")
        picture.scroll_into_view_if_needed()
        opened.wait_for_function("(image) => image.complete", arg=picture.element_handle())
        assert picture.evaluate("(image) => image.naturalWidth") == natural, path
        shown, column = picture.bounding_box(), picture.locator("xpath=ancestor::div[1]").bounding_box()
        assert column["x"] <= shown["x"] and shown["x"] + shown["width"] <= column["x"] + column["width"], path
        assert_fits_and_is_accessible(opened, axe, path)
    opened.goto("/problem?id=2")
    assert opened.get_by_text("picture 1 of problem 2 is no PNG").is_visible()
    assert_fits_and_is_accessible(opened, axe, "/problem?id=2")
    assert said == []
    opened.goto("/problem?id=0")
    opened.get_by_role("link", name="picture 1 of problem 0").click()
    opened.wait_for_url("**/picture?task=mathvision&id=0&number=1")
    assert opened.evaluate("document.images[0].naturalWidth") == 2400
    context.close()


def test_a_run_that_goes_on_is_announced(chromium, tmp_path):
    folder = tmp_path / "r"
    fakes.write_run(folder, commits=1)
    with serving(folder) as address:
        context = chromium.new_context(base_url=address)
        opened = context.new_page()
        opened.goto("/")
        fakes.add_text(folder, "more")
        opened.get_by_text("481 samples now").wait_for(timeout=20_000)
        opened.reload()
        assert "481 samples so far" in opened.locator(".lead").inner_text()
        context.close()
