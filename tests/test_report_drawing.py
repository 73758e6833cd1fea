"""The small parts of the report: imports, file names, which points are drawn, where labels and ticks go."""

import re
import subprocess
import sys

import pytest

from rlvr_harness.errors import RunFolderError
from rlvr_harness.report import paper
from rlvr_harness.report.charts import drawable
from rlvr_harness.report.figures import file_stem
from rlvr_harness.report.reading import chosen_ks, curve
from rlvr_harness.report.svg import even_ticks, round_out, spread
from rlvr_harness.stages.reporting import write_reports


@pytest.mark.parametrize("task", ["../../etc/passwd", "a/b", ".", "..", "-rf", "x" * 300, "", "<a|b>", "\ud800"])
def test_a_task_name_cannot_leave_the_figure_folder(task):
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", file_stem(task))


def test_chosen_ks_keep_the_ends_and_powers_of_two():
    assert chosen_ks([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], 4) == [1, 8, 128, 1024]
    assert chosen_ks(list(range(1, 101)), 3) == [1, 16, 100]
    assert chosen_ks([1, 3], 4) == [1, 3]


def test_curve_is_sorted_by_k_and_drops_what_is_no_number():
    points = curve({"16": 0.5, "2": {"value": 0.1}, "4": None, "x": 1, "8": True, "01": 1})
    assert list(points) == [2, 16]


def test_dense_curves_are_thinned_but_keep_both_ends():
    points = curve({str(k): 0.5 for k in range(1, 1025)})
    kept = list(drawable(points))
    assert kept[0] == 1 and kept[-1] == 1024
    assert len(kept) < 100


def test_labels_are_moved_apart_by_the_gap():
    assert spread([50, 50, 90], 10, 0, 100) == [50, 60, 90]
    assert spread([99, 100], 10, 0, 100) == [90, 100]


def test_ticks_are_round_and_cover_the_range():
    assert even_ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    low, high = round_out(-0.22, 0.23, 6)
    assert (low, high) == pytest.approx((-0.3, 0.3))
    assert round_out(0.0, 0.0, 6)[0] < 0 < round_out(0.0, 0.0, 6)[1]


def test_heavy_libraries_wait_until_they_are_used():
    script = "import sys, rlvr_harness.stages.reporting; print({'matplotlib', 'rich', 'jinja2'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_unwritable_target_is_named_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write the report"):
        write_reports([{}], tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("last", "ticks"), [(4, [1, 2, 4]), (1024, [1, 4, 16, 64, 256, 1024]), (16384, [1, 8, 64, 512, 4096])]
)
def test_the_k_axis_of_a_figure_has_few_powers_of_two_from_1_on(last, ticks):
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    axes.plot([1, last], [0, 1], label="base")
    paper._over_k(axes)
    assert list(axes.get_xticks()) == ticks
