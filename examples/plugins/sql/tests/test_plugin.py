"""The plugin as rlvr-harness sees it; needs it to be installed."""

import subprocess
import sys


def test_the_harness_lists_what_the_plugin_offers():
    command = [sys.executable, "-m", "rlvr_harness", "ls", "plugins"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "sql\trlvr-harness-sql 0.1.0 (rlvr_sql): tasks sql; verifiers sql" in done.stdout.splitlines()
