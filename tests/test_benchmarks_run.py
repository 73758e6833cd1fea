"""The benchmarks still run: small, so that what they print here says nothing of speed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
WITH_OPTIONS = sorted(path for path in BENCHMARKS.glob("*.py") if "ArgumentParser" in path.read_text())


def loaded(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_sampler_and_its_peers_draw_alike(tmp_path, monkeypatch, capsys):
    benchmark = loaded("engine_overhead", monkeypatch)
    sizes = ["--width", "32", "--layers", "1", "--problems", "2", "--n", "4", "--tokens", "4", "--rows", "4"]
    options = benchmark._parser().parse_args([*sizes, "--rounds", "1"])
    benchmark._compare(options, benchmark._checkpoint(tmp_path / "model", options), tmp_path)
    printed = capsys.readouterr().out
    assert "ours / bare generate, wall" in printed
    assert "ours / lm-eval, CPU" in printed


def test_the_savings_of_a_sequential_plan_are_those_the_pages_give(monkeypatch, capsys):
    benchmark = loaded("sequential_savings", monkeypatch)
    monkeypatch.setattr(benchmark, "LIMITS", (4,))
    benchmark.main([])
    shares = [line.split()[7] for line in capsys.readouterr().out.splitlines() if line.startswith("  k")]
    assert shares[:2] == ["33.6%", "9.7%"]
    table = (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    assert all(share in table for share in shares[:2] + shares[6:8])


def test_the_store_is_filled_and_read(tmp_path):
    command = [sys.executable, BENCHMARKS / "store_scale.py", "--problems", "3", "--n", "8", "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "written: 48 samples and verdicts" in done.stdout


@pytest.mark.parametrize("path", WITH_OPTIONS, ids=lambda path: path.stem)
def test_a_benchmark_says_how_it_is_called(path):
    done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage")
