"""The report renders whatever results hold, escapes it, and loads nothing from the network."""

import html.parser
import re

import pytest

from rlvr_harness.report import render_html, render_markdown, render_terminal, write_figures
from rlvr_harness.report.assets import LIBRARY, asset
from rlvr_harness.stages.reporting import write_reports

KS = (1, 2, 4, 8)
FOREIGN = "模型"
HOSTILE = """<script src="http://evil.example/x.js"></script>"><img src=//evil.example>&{{ 7*7 }}|`]("""
VOID_TAGS = {"meta", "img", "link", "br", "hr", "input"}


def point(value, half=0.05):
    near = {"sampling_low": value - half / 5, "sampling_high": value + half / 5}
    return {"value": value, "low": value - half, "high": value + half} | near


def model(name, values, solved):
    return {
        "name": name,
        "samples": 32,
        "right": 9,
        "wrong": 22,
        "void": 1,
        "truncated": 8,
        "mean_tokens": 19.0,
        "plan": {"name": "fixed"},
        "pass_at_k": {str(k): point(value) for k, value in zip(KS, values, strict=True)},
        "accuracy_histogram": [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        "guess_floor": {
            "uniform": {"1": 0.01, "2": 0.02, "4": 0.04, "8": 0.08},
            "label": "uniform random solver",
            "empirical": {"1": 0.02, "8": 0.1},
        },
        "extrapolated": {"16": 0.9},
        "entropy": {"answer": 1.25, "token": None},
        "duplicates": 0.5,
        "counts": {"problem_id": ["a", "b", "c", "d"], "n": [8] * 4, "c": solved},
    }


def comparison(role="model"):
    return {
        "base": "base",
        "model": role,
        "difference": {"1": point(0.1), "2": point(0.02), "4": point(-0.1), "8": point(-0.25)},
        "crossover": {"verdict": "crossed", "k": 3, "low": 2, "high": 4},
        "coverage": {
            "k": 8,
            "both": 2,
            "base_only": 1,
            "model_only": 0,
            "neither": 1,
            "mcnemar_p": 1.0,
            "base_only_ids": ["b"],
            "model_only_ids": [],
            "undecided_ids": ["b"],
        },
        "support": {"srr": 2 / 3, "ndr": 0.0, "sds": 0.0, "nscr": -1 / 3},
        "delta_se": {"k": 8, "value": 0.45},
        "fairness": {"same_prompt": True, "same_sampling": False, "warnings": ["budgets differ"]},
    }


def full(title="RL against base"):
    models = {
        "base": model("demo/base", (0.2, 0.35, 0.55, 0.75), [3, 1, 2, 0]),
        "model": model("demo/rlvr", (0.3, 0.37, 0.45, 0.5), [6, 0, 3, 0]),
        "distilled": model("demo/distilled", (0.3, 0.5, 0.7, 0.8), [6, 1, 3, 0]),
    }
    task = {"problems": 4, "models": models, "comparison": comparison()}
    task["comparisons"] = [task["comparison"], comparison("distilled")]
    run = {
        "title": title,
        "command": "rlvr-harness run --model demo/rlvr --base demo/base",
        "sampling": {"temperature": 0.6, "top_p": 0.95, "top_k": 0, "max_gen_toks": 16384},
        "versions": {"torch": "2.13.0"},
    }
    return {"schema": "rlvr-harness/results/1", "run": run, "tasks": {"countdown": task}}


def single():
    results = full("one model")
    task = results["tasks"]["countdown"]
    results["tasks"]["countdown"] = {"problems": 4, "models": {"model": task["models"]["model"]}}
    return results


def imported_counts():
    models = {
        role: {
            "pass_at_k": {"1": {"value": 0.5, "low": None, "high": None}},
            "counts": {"problem_id": ["a"], "n": [2], "c": [1]},
            "entropy": None,
            "mean_tokens": None,
        }
        for role in ("base", "model")
    }
    return {"run": {"title": None, "sampling": None}, "tasks": {"aime": {"problems": 1, "models": models}}}


def nulled(block):
    """The same keys with every leaf null."""
    return {key: nulled(value) if isinstance(value, dict) else None for key, value in block.items()}


MALFORMED = {
    "run": [],
    "tasks": {
        "t": {
            "problems": "many",
            "models": {"base": {"pass_at_k": {"x": 1, "0": 1, "2": float("nan")}, "accuracy_histogram": [1, "2"]}},
            "comparison": {"difference": 3, "coverage": [], "crossover": {"verdict": "crossed", "k": "soon"}},
        },
        "u": None,
    },
}
CASES = {
    "full": full(),
    "single": single(),
    "imported_counts": imported_counts(),
    "nulls": nulled(full()),
    "null_tasks": {"run": None, "tasks": None},
    "empty": {},
    "malformed": MALFORMED,
}


class Page(html.parser.HTMLParser):
    """Balanced tags, ids, links and anything a browser would load."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.loads = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.loads += [value for name, value in attrs if name in ("src", "srcset", "data", "xlink:href", "action")]
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_results_renders_as_well_formed_html(name):
    assert "h1" in Page(render_html([CASES[name]])).tags


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_results_renders_as_text_and_figures(name, tmp_path):
    assert render_markdown(CASES[name]).endswith("\n")
    assert render_terminal(CASES[name]).endswith("\n")
    write_figures(CASES[name], tmp_path)


def test_page_loads_nothing_and_every_link_stays_on_it():
    text = render_html([full(), full("second")])
    page = Page(text)
    assert page.loads == []
    assert not {"link", "iframe", "img"} & set(page.tags)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    ours = text.replace(asset(LIBRARY), "")
    assert "@import" not in ours and "url(" not in ours
    assert "default-src 'none'" in text


def test_several_runs_get_one_section_each_and_an_overview():
    page = render_html([full("T = 1"), full("T = 0.6")])
    assert [anchor for anchor in Page(page).ids if re.fullmatch(r"s\d+", anchor)] == ["s0", "s1"]
    assert 'class="overview"' in page
    assert "<h1>T = 1 · T = 0.6</h1>" in page


def hostile_results():
    results = full(HOSTILE)
    task = results["tasks"].pop("countdown")
    for entry in task["models"].values():
        entry["name"] = HOSTILE
        entry["guess_floor"]["label"] = HOSTILE
        entry["counts"]["problem_id"] = ["a", HOSTILE, "c", "d"]
        entry[HOSTILE] = {HOSTILE: 1.0}
    task["comparison"]["coverage"]["base_only_ids"] = [HOSTILE]
    task["comparison"]["fairness"]["warnings"] = [HOSTILE, "\x1b[31mred\ud800\x00"]
    task["models"][HOSTILE] = task["models"].pop("distilled")
    task["comparisons"] = [task["comparison"], comparison(HOSTILE)]
    results["tasks"][HOSTILE] = task
    results["run"] |= {"command": HOSTILE, "versions": {HOSTILE: HOSTILE}, HOSTILE: HOSTILE}
    return results


def test_hostile_strings_stay_text_on_the_page():
    text = render_html([hostile_results()])
    page = Page(text)
    assert page.tags.count("script") == Page(render_html([full()])).tags.count("script") == 3
    assert "img" not in page.tags
    assert page.loads == []
    assert "{{ 7*7 }}" in text
    text.encode("utf-8")


def test_hostile_strings_stay_text_in_markdown_and_terminal():
    markdown, terminal = render_markdown(hostile_results()), render_terminal(hostile_results())
    assert "<script" not in markdown and "<img" not in markdown and "](" not in markdown
    assert "\x1b" not in markdown + terminal
    (markdown + terminal).encode("utf-8")


@pytest.mark.parametrize("results", [full(), hostile_results()], ids=["full", "hostile"])
def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_header(results):
    blocks = [block for block in render_markdown(results).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 8
    for block in blocks:
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()]
        assert len(cells) >= 3
        assert len(set(cells)) == 1


def test_page_of_a_large_study_stays_under_three_megabytes():
    ids = [f"a-rather-long-problem-identifier-{place:05d}" for place in range(3000)]
    results = full()
    task = results["tasks"].pop("countdown")
    task["problems"] = len(ids)
    for entry in task["models"].values():
        entry["counts"] = {"problem_id": ids, "n": [1024] * len(ids), "c": [place % 5 for place in range(len(ids))]}
        entry["pass_at_k"] = {str(k): point(k / 2048) for k in range(1, 1025)}
    results["tasks"] = {f"task-{place}": task for place in range(8)}
    assert len(render_html([results]).encode()) < 3_000_000


def test_problems_that_one_model_solves_keep_their_row_when_the_table_is_cut():
    ids = [str(place) for place in range(5000)]
    results = full()
    task = results["tasks"]["countdown"]
    task["problems"] = len(ids)
    for role, right in (("base", 1), ("model", 0), ("distilled", 0)):
        task["models"][role]["counts"] = {"problem_id": ids, "n": [8] * 5000, "c": [0] * 4999 + [right]}
    task["comparison"]["coverage"]["base_only_ids"] = ["4999"]
    page = render_html([results])
    assert '<th scope="row">4999</th>' in page
    assert "1,000 more problems are in results.json" in page


def test_quadrant_ids_link_to_their_row_and_undecided_ones_are_marked():
    page = render_html([full()])
    assert re.search(r'<a href="#s0-p1">b</a><abbr title="undecided', page)
    assert '<tr id="s0-p1"><th scope="row">b</th><td>1 / 8</td><td>0 / 8</td><td>1 / 8</td><td>base only</td>' in page


def test_chart_says_its_numbers_to_a_screen_reader():
    page = render_html([full()])
    assert 'role="img" aria-label="pass@k over k on a log scale. base: pass@1 20.0 [15.0, 25.0] %' in page


def test_plugin_sections_are_appended_to_their_task_and_empty_ones_left_out():
    page = render_html([full()], [{"countdown": [("Mine <3", "<p>own markup</p>"), ("Nothing", "")]}])
    assert "<h3>Mine &lt;3</h3>" in page and "<p>own markup</p>" in page
    assert "Nothing</h3>" not in page


def test_terminal_table_has_one_row_a_model_and_the_verdict_after_it():
    lines = render_terminal(full()).splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("|")][2:] == [
        "base",
        "RL model",
        "distilled",
    ]
    assert "| 20.0 [15.0, 25.0] |" in lines[2]
    assert lines[6].startswith("Base overtakes at k = 3 [2, 4];")


def test_the_terminal_ends_with_what_is_unfair_and_leaves_the_good_news_out():
    lines = render_terminal(full()).splitlines()
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert warnings[:2] == ["warning: DIFFERENT sampling law for RL model and base.", "warning: budgets differ"]
    assert not any("Same prompts" in line for line in lines)


def test_figures_are_png_and_pdf_per_task(tmp_path):
    paths = write_figures(full(), tmp_path / "figures")
    stems = ("pass_at_k", "difference", "solved", "accuracy")
    assert [path.name for path in paths] == [f"{stem}-countdown.{kind}" for stem in stems for kind in ("png", "pdf")]
    assert paths[0].read_bytes().startswith(b"\x89PNG") and paths[1].read_bytes().startswith(b"%PDF")
    assert sorted((tmp_path / "figures").iterdir()) == sorted(paths)


def test_figures_take_long_names_and_foreign_scripts(tmp_path):
    results = full()
    models = results["tasks"]["countdown"]["models"]
    models[FOREIGN * 40] = models.pop("distilled")
    assert len(write_figures(results, tmp_path)) == 8


def test_reports_are_written_whole_with_no_partial_file_left(tmp_path):
    page = write_reports([full(), hostile_results()], tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert page.name in names and "report.md" in names and "figures/1/pass_at_k-countdown.pdf" in names
    assert "tables/1/countdown.tex" in names
    assert not any(".partial" in name for name in names)
