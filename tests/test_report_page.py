"""What stands in report.html and beside it: one policy, one library, definitions, and what later commands measured."""

import base64
import hashlib
import json
import re

import pytest

from rlvr_harness.report import render_html, render_latex, render_markdown, write_figures
from rlvr_harness.report.assets import LIBRARY, SCRIPT, asset, data_block
from rlvr_harness.report.glossary import TERMS, term
from rlvr_harness.report.latex import escaped
from rlvr_harness.report.shift import shift_bins, shift_sentence
from tests.report_cases import HOSTILE, comparison, hostile, measured, results


def scripts(page):
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def test_the_policy_names_the_two_scripts_of_the_page_and_nothing_else():
    page = render_html([results()])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts(page)]
    first, second = (base64.b64encode(digest).decode() for digest in digests)
    assert f"script-src 'sha256-{first}' 'sha256-{second}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe-eval" not in policy and "http" not in policy


def test_the_policy_stands_before_anything_it_governs():
    page = render_html([results()])
    assert page.index("Content-Security-Policy") < min(page.index("<style"), page.index("<script"))


def test_the_plotting_library_is_the_published_file_named_in_the_notes():
    digest = hashlib.sha256(asset(LIBRARY).encode()).hexdigest()
    assert digest in asset("README.md")
    assert "MIT License" in asset("plotly-LICENSE.txt")


@pytest.mark.parametrize("name", [LIBRARY, SCRIPT])
def test_no_script_could_end_its_own_element(name):
    assert "</script" not in asset(name).lower() and "<!--" not in asset(name)


def test_data_cannot_leave_its_element_and_reads_back_the_same():
    content = {"a": HOSTILE + "\u2028\u2029<!--"}
    block = data_block(content)
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == content


def test_every_term_is_defined_once_and_every_word_marked_as_one_has_its_definition():
    page = render_html([measured(), hostile()])
    assert len({entry.key for entry in TERMS}) == len(TERMS)
    assert set(re.findall(r'popovertarget="([^"]+)"', page)) <= set(re.findall(r'popover id="([^"]+)"', page))
    assert page.count("<dt>") >= len(TERMS)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("pass@1,024, base → RL model", "pass-at-k"),
        ("extrapolated pass@64", "extrapolated"),
        ("sampling only", "sampling-only"),
        ("base only", "solved"),
        ("RL model \N{MINUS SIGN} base", "difference"),
        ("maj@16", "maj-at-k"),
        ("G-Pass@τ=0.5, k=4", "g-pass-at-k"),
        ("ΔSE, points", "delta-se"),
        ("tokens at T = 1", "token-entropy"),
    ],
)
def test_headings_find_their_definition(words, key):
    assert term(words).key == key


def test_a_heading_that_is_defined_nowhere_has_no_term():
    assert term("checkpoint") is None


def test_shift_is_told_and_drawn_where_it_was_measured():
    assert shift_sentence(comparison()) == (
        "Problems by accuracy bin: 6 up, 1 down, 1 the same; mean shift +29.0 [+10.0, +50.0] points."
    )
    assert "Accuracy shift, base to RL model" in render_html([results()])
    without = results()
    del without["tasks"]["maths"]["comparison"]["shift"]
    assert "Accuracy shift, base to" not in render_html([without])


@pytest.mark.parametrize("bins", [None, [], [[1] * 11] * 10, [[1] * 10] * 11, [["1"] * 11] * 11, [[-1] * 11] * 11])
def test_a_malformed_shift_is_left_out(bins):
    assert shift_bins({"shift": {"bins": bins}}) == []


def test_flows_between_solved_and_unsolved_are_said_in_words():
    page = render_html([results()])
    assert (
        "solved by both: 5 problems; solved by base, lost by RL model: 1 problem; new with RL model: 1 problem" in page
    )


def test_what_later_commands_measured_stands_in_tables():
    page = render_html([measured()])
    for shown in (
        "1.500 [1.400, 1.600] (20 texts)",
        "0.500 [0.400, 0.600]",
        "90.0 [60.0, 99.0] %",
        "Extrapolated, not measured",
        "base: few problems",
        "80.0 [75.0, 85.0]",
    ):
        assert shown in page
        assert shown in render_markdown(measured()).replace("\\", "")


def test_an_extrapolated_value_is_never_written_beside_a_name_as_if_measured():
    assert ">base 75.0<" in render_html([results()])
    assert ">base 85.0<" not in render_html([measured()]) and ">base 75.0<" not in render_html([measured()])


def test_support_intervals_are_shown_for_all_four():
    found = results()
    sides = {key: {"low": 0.1, "high": 0.9} for key in ("srr", "ndr", "sds", "nscr")}
    found["tasks"]["maths"]["comparison"]["support"]["intervals"] = sides
    page = render_html([found])
    for cell in ("0.833 [0.100, 0.900]", "0.167 [0.100, 0.900]", "0.278 [0.100, 0.900]", "0.000 [0.100, 0.900]"):
        assert cell in page


def test_cost_and_what_was_saved_are_shown():
    found = results()
    found["run"]["timings"] = {"sampling": {"maths/base": {"tokens": 63648, "engine_s": 400.0}}}
    found["tasks"]["maths"]["models"]["base"]["plan"] = {"expected_full": 256, "saved": 128}
    page = render_html([found])
    assert "<td>50.0 %</td><td>128</td><td>63,648</td><td>6.7 min</td>" in page


def test_markdown_folds_the_details_and_shows_warnings_as_an_alert():
    found = results()
    found["tasks"]["maths"]["comparison"]["fairness"] = {"same_prompt": False, "warnings": ["budgets differ"]}
    text = render_markdown(found)
    assert "> [!WARNING]\n> DIFFERENT prompts for RL model and base.\n>\n> budgets differ" in text
    assert text.count("<details>") == text.count("</details>") == 3
    assert text.index("| RL model |") < text.index("<details>")
    assert "`rlvr-harness run --model org/rlvr --base org/base`" in text


def test_latex_table_has_one_row_a_model_and_escapes_names():
    table = render_latex("math_500", hostile()["tasks"][HOSTILE])
    assert r"\begin{tabular}{lrrrrrrr}" in table and r"\toprule" in table
    assert r"math\_500" in table and "<script" not in table
    assert "20.0 {\\scriptsize [15.0, 25.0]}" in table
    assert "8 {\\scriptsize [4, 16]} & 1 / 1 \\\\" in table
    assert [line.count(" & ") for line in table.splitlines() if line.endswith(r"\\")] == [7, 7, 7]


def test_latex_specials_lose_their_meaning():
    assert escaped(r"a_b 5% $x$ {#} ~^ \cmd & c") == (
        r"a\_b 5\% \$x\$ \{\#\} \textasciitilde{}\textasciicircum{} \textbackslash{}cmd \& c"
    )


def test_no_latex_where_nothing_was_measured():
    assert render_latex("t", {"models": {"base": {}}}) == ""


def test_figures_come_out_the_same_twice_with_embedded_type_42_fonts_and_no_date(tmp_path):
    first, second = write_figures(results(), tmp_path / "a"), write_figures(results(), tmp_path / "b")
    assert [path.stem for path in first if path.suffix == ".pdf"] == [
        f"{stem}-maths" for stem in ("pass_at_k", "difference", "solved", "shift", "accuracy")
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    pdf = first[1].read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
