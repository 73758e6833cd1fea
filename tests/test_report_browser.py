"""report.html in a real browser: it runs only its own script, loads nothing, and is used by mouse, tap and keyboard."""

import shutil

import pytest

from rlvr_harness.report import render_html
from tests.report_cases import HOSTILE, hostile, measured, results

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SCROLL = "async () => { for (let y = 0; y < document.body.scrollHeight; y += 500) { scrollTo(0, y);"
SCROLL += " await new Promise((done) => setTimeout(done, 60)); } scrollTo(0, 0); }"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, tmp_path):
    """visit(html, **context) -> the page, scrolled through; what it complains of or asks for is in `page.heard`."""
    contexts = []

    def open_page(html, **options):
        (tmp_path / "report.html").write_text(html, encoding="utf-8")
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)  # a busy machine draws slowly
        page.heard = []
        page.on("console", lambda message: page.heard.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.heard.append(f"error: {error}"))
        page.on("request", lambda request: page.heard.append(f"request: {request.url}"))
        page.goto((tmp_path / "report.html").as_uri())
        if options.get("java_script_enabled", True):
            page.evaluate(SCROLL)
        return page

    yield open_page
    for context in contexts:
        context.close()


def until(page, expression):
    """Waits until the expression is true; Playwright's own way calls eval in the page, which the policy forbids."""
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def complaints(page):
    """What the page said or asked for, but for the page itself."""
    return [
        entry
        for entry in page.heard
        if not entry.startswith("request: file:") and not entry.startswith("request: data:")
    ]


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_draws_its_charts_without_complaint_and_without_the_network(visit, viewport):
    page = visit(render_html([measured()]), viewport=viewport)
    assert page.locator(".live .main-svg").count() >= 4
    assert complaints(page) == []
    assert len(page.heard) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_hover_data_holds_k_value_and_interval(visit):
    page = visit(render_html([results()]))
    texts = page.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot')].flatMap((p) => p.data.flatMap((t) => t.text))"
    )
    assert "base, pass@4: 45.0 [40.0, 50.0] %; sampling only [44.0, 46.0]" in texts


def test_a_legend_entry_hides_its_curve_and_the_axis_turns_linear(visit):
    page = visit(render_html([results()]))
    figure = page.locator("#s0-curve")
    kind = "document.querySelector('#s0-curve .js-plotly-plot').layout.xaxis.type"
    assert page.evaluate(kind) == "log"
    figure.get_by_role("button", name="log k").click()
    assert page.evaluate(kind) == "linear"
    figure.locator(".legendtoggle").first.click()
    until(page, "document.querySelector('#s0-curve .js-plotly-plot').data.some((t) => t.visible === 'legendonly')")


def test_charts_follow_the_colour_scheme(visit):
    page = visit(render_html([results()]), color_scheme="light")
    shade = "document.querySelector('#s0-curve .js-plotly-plot').data.find((t) => t.name === 'base').line.color"
    light = page.evaluate(shade)
    page.emulate_media(color_scheme="dark")
    until(page, f"{shade} !== '{light}'")


def test_a_definition_opens_by_key_and_closes_by_escape(visit):
    page = visit(render_html([results()]))
    page.locator("#s0-curve h3 .term").focus()
    page.keyboard.press("Enter")
    bubble = page.locator("#def-pass-at-k")
    assert bubble.is_visible() and "at least one of k samples" in bubble.inner_text()
    page.keyboard.press("Escape")
    assert not bubble.is_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_a_definition_opens_by_tap(visit, script):
    page = visit(render_html([results()]), viewport=PHONE, has_touch=True, java_script_enabled=script)
    page.locator("th .term", has_text="SRR").tap()
    bubble = page.locator("#def-srr")
    assert bubble.is_visible()
    box = bubble.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]


def test_a_problem_of_a_quadrant_leads_to_its_row_even_when_the_table_is_folded(visit):
    page = visit(render_html([results()]))
    page.evaluate("document.querySelector('details.problems').open = false")
    page.locator(".quadrants .base-only summary").click()
    page.locator(".quadrants .base-only .chips a").click()
    assert page.locator("#s0-p0").is_visible()
    assert page.evaluate("location.hash") == "#s0-p0"


def test_without_script_and_in_print_the_drawn_charts_stand(visit):
    page = visit(render_html([results()]), java_script_enabled=False)
    assert page.locator("#s0-curve svg.chart.wide").is_visible()
    page = visit(render_html([results()]))
    assert page.locator("#s0-curve .live").is_visible()
    page.emulate_media(media="print")
    assert not page.locator("#s0-curve .live").is_visible()
    assert page.locator("#s0-curve svg.chart.wide").bounding_box()["width"] > 300


def test_no_table_is_cut_off_on_paper(visit):
    page = visit(render_html([results()]), viewport={"width": 600, "height": 1000})  # A4 has 700 between its margins
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert page.evaluate(cut) > 0  # on the screen they scroll
    page.emulate_media(media="print")
    assert page.evaluate(cut) == 0


def test_hostile_names_run_no_script_and_make_no_link(visit):
    page = visit(render_html([hostile(), results()], [{HOSTILE: [(HOSTILE, "<p>a plugin's own</p>")]}]))
    assert page.evaluate("window.broken") is None
    assert page.locator("a[href*=evil], svg a, img").count() == 0
    assert complaints(page) == []
    until(
        page,
        "[...document.querySelectorAll('.live .legendtext')].some((entry) => entry.textContent.includes('<img src=x'))",
    )


def test_a_plugins_script_is_kept_from_running(visit):
    page = visit(render_html([results()], [{"maths": [("Mine", "<script>window.broken = 1</script><p>text</p>")]}]))
    assert page.evaluate("window.broken") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_serious(visit, scheme, viewport):
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="needs axe-core-python")
    runs = [measured(), results("hot", temperature=1.0), results("other", "org/other", (0.4, 0.45, 0.5, 0.55, 0.6))]
    page = visit(render_html(runs), viewport=viewport, color_scheme=scheme)
    page.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    found = axe.Axe().run(page)["violations"]
    serious = [entry for entry in found if entry["impact"] in ("serious", "critical")]
    assert [(entry["id"], entry["nodes"][0]["html"][:200]) for entry in serious] == []
