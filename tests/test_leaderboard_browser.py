"""The site in a real browser, opened from a file: filters, sorting, links, no request, no breach of its policy."""

import importlib.util
import shutil

import pytest

from tests.leaderboard_fakes import HOSTILE, results, site_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    runs = [
        results("org/m1", -0.3),
        results("org/m2", 0.2, run={"command": "rlvr-harness run --model m2"}),
        results("org/m3", 0.1, fairness={"warnings": ["tokenizers differ"]}),
        results("org/small", 0.1, k=4, base="meta/Llama-3.1-8B"),
        results("org/unfair", 0.3, fairness={"same_prompt": False}),
        results(HOSTILE, 0.25, task="aime24"),
    ]
    return site_of(tmp_path_factory.mktemp("board"), *runs)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    """The index at 1280 pixels; afterwards nothing was asked for outside the site and nothing was complained of."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, complaints, requests = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((site / "index.html").as_uri())
    yield page
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith((site.as_uri(), "data:,"))] == []


def shown(page):
    """Names of the rows that can be seen, in their order."""
    names = page.locator("tbody tr[id] .name")
    return [names.nth(place).inner_text() for place in range(names.count()) if names.nth(place).is_visible()]


def first_table(page):
    return page.locator("table", has_text="org/m1")


def order(table):
    return table.locator("tbody tr[id] .name").all_inner_texts()


def test_filters_hide_rows_tables_and_tasks_and_clear_again(page):
    assert len(shown(page)) == 6
    page.select_option("[name=task]", "math500")
    page.select_option("[name=k]", "4")
    assert shown(page) == ["org/small"]
    assert page.locator("#shown").inner_text() == "1 of 6 rows"
    assert page.locator("h2:visible").count() == 2
    assert page.url.endswith("#task=math500&k=4")
    page.click("button[type=reset]")
    page.wait_for_function("document.getElementById('shown').textContent === '6 rows'")
    page.fill("[name=n]", "26")
    assert shown(page) == []
    page.fill("[name=n]", "25")
    assert len(shown(page)) == 6


@pytest.mark.parametrize(
    ("name", "value", "names"), [("family", "Llama-3.1", 1), ("sampler", "hf", 1), ("plan", "fixed", 6)]
)
def test_each_filter_goes_by_its_own_column(page, name, value, names):
    page.select_option(f"[name={name}]", value)
    assert len(shown(page)) == names


def test_a_link_with_filters_opens_filtered(page, site):
    page.goto("about:blank")
    page.goto(f"{(site / 'index.html').as_uri()}#k=4")
    assert shown(page) == ["org/small"]


def test_columns_sort_both_ways_by_keyboard_and_say_so(page):
    table = first_table(page)
    assert order(table) == ["org/m2", "org/m3", "org/m1", "org/unfair"]
    assert table.locator("th[data-key=rank]").get_attribute("aria-sort") == "ascending"
    table.locator("th[data-key=gap] button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert table.locator("[aria-sort]").count() == 1
    assert table.locator("th[data-key=gap]").get_attribute("aria-sort") == "ascending"
    assert order(table) == ["org/m1", "org/m3", "org/m2", "org/unfair"]
    table.locator("th[data-key=model] button").click()
    assert order(table) == ["org/m1", "org/m2", "org/m3", "org/unfair"]


def test_all_columns_are_shown_on_demand_and_each_sorts(page):
    table = first_table(page)
    assert table.locator("th[data-key=srr]").is_hidden()
    page.check("#all-columns")
    assert table.locator("th[data-key=srr]").is_visible()
    buttons = table.locator("thead button")
    for place in range(buttons.count()):
        buttons.nth(place).click()
        assert len(order(table)) == 4


def test_links_lead_to_model_task_report_and_downloads(page, site):
    for name in ("data.csv", "data.json"):
        link = page.locator(f"header a[href='{name}']")
        assert link.get_attribute("download") == ""
    page.click("text=org/m1")
    assert page.locator("h1").inner_text() == "org/m1"
    page.click("h2 a")
    assert page.locator("h1").inner_text() == "math500"
    assert page.locator("svg.forest:visible").count() == 2
    href = first_table(page).locator("td.run a").first.get_attribute("href")
    assert (site / "tasks" / href).resolve().is_file()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1600])
def test_pages_fit_and_have_no_serious_barrier(browser, site, width, scheme):
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for path in [site / "index.html", *sorted(site.glob("tasks/*")), *sorted(site.glob("models/*"))[:2]]:
        page.goto(path.as_uri())
        page.check("#all-columns")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page)["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
    context.close()
