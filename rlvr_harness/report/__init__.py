"""The report: from results.json content alone to HTML, Markdown, LaTeX, terminal and figures."""

from rlvr_harness.report.figures import write_figures
from rlvr_harness.report.latex import render_latex
from rlvr_harness.report.markdown import render_markdown, render_markdown_overview
from rlvr_harness.report.page import ExtraSections, render_html
from rlvr_harness.report.terminal import render_terminal
from rlvr_harness.report.wording import verdict_sentence

__all__ = [
    "ExtraSections",
    "render_html",
    "render_latex",
    "render_markdown",
    "render_markdown_overview",
    "render_terminal",
    "verdict_sentence",
    "write_figures",
]
