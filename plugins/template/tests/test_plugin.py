"""The plugin as rlvr-harness sees it; needs it to be installed (`pip install -e .`)."""

import subprocess
import sys
from importlib.metadata import entry_points

NAME = "template"


def test_the_entry_point_names_the_package():
    found = {point.name: point.value for point in entry_points(group="rlvr_harness")}
    assert found.get(NAME) == "rlvr_template"


def test_the_harness_lists_what_the_plugin_offers():
    command = [sys.executable, "-m", "rlvr_harness", "ls", "plugins"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    origin, _, offers = dict(line.split("\t", 1) for line in done.stdout.splitlines())[NAME].partition(": ")
    assert origin.startswith("rlvr-harness-template ")
    assert offers == f"tasks {NAME}; verifiers {NAME}; metrics {NAME}_solved; report sections {NAME}_solved"
