"""A broken plugin is named, and takes nothing down but what may hang on it."""

import json
from itertools import count

import pytest

from rlvr_harness.errors import PluginError, UnknownName
from rlvr_harness.registry import load_plugins, load_working
from tests.small_runs import finished_run, run_folder

__all__ = ["finished_run", "run_folder"]
NUMBERS = count()
IMPORT = "from rlvr_harness import hookimpl\n"
OBJECT = IMPORT + "class Thing:\n    name = 'half'\n    description = 'd'\n"
WRONG = {
    "does_not_import": ("import no_such_module_at_all", "does not import: ModuleNotFoundError"),
    "exits": ("raise SystemExit(3)", "does not import: SystemExit: 3"),
    "syntax": ("def (", "does not import: SyntaxError"),
    "unknown_hook": (IMPORT + "@hookimpl\ndef provide_metric():\n    return []\n", "provide_metric"),
    "wrong_protocol": (
        OBJECT + "@hookimpl\ndef provide_metrics():\n    return [Thing()]\n",
        "offers a metric without measure",
    ),
    "raising_property": (
        OBJECT + "    @property\n    def measure(self):\n        return 1 / 0\n"
        "@hookimpl\ndef provide_metrics():\n    return [Thing()]\n",
        "offers a metric that fails when it is looked at: ZeroDivisionError",
    ),
    "raising_attribute": (
        "class Plugin:\n    def __dir__(self):\n        raise ValueError('no file')\n"
        "import sys\nsys.modules[__name__] = Plugin()\n",
        "fails when it is looked at: ValueError: no file",
    ),
    "wrapper": (
        IMPORT + "@hookimpl(wrapper=True)\ndef run_finished():\n    return (yield)\n",
        "wraps run_finished, which is not allowed",
    ),
    "failing_hook": (
        IMPORT + "@hookimpl\ndef provide_tasks():\n    raise ValueError('two\\nlines')\n",
        "fails in provide_tasks: ValueError: two lines",
    ),
    "clash": (
        "from rlvr_demo import provide_verifiers\n",
        "verifier 'countdown' is offered by plugins 'a_wrong' and 'demo'",
    ),
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install(name, source) puts a distribution rlvr-harness-NAME 1.2 with this module on the path."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delenv("RLVR_HARNESS_PLUGINS", raising=False)

    def make(name, source):
        module = f"rlvr_made_{next(NUMBERS)}"
        metadata = tmp_path / "site" / f"rlvr_harness_{name}-1.2.dist-info"
        metadata.mkdir(parents=True)
        (tmp_path / "site" / f"{module}.py").write_text(source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rlvr-harness-{name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[rlvr_harness]\n{name} = {module}\n")
        return module

    return make


@pytest.mark.parametrize(("source", "fault"), WRONG.values(), ids=WRONG)
def test_looking_goes_on_without_a_broken_plugin_and_names_it(install, source, fault):
    module = install("a_wrong", source)
    registry, [broken] = load_working()
    assert "countdown" in registry.offered["task"]
    assert (broken.plugin.name, broken.plugin.distribution, broken.plugin.version) == (
        *("a_wrong", "rlvr-harness-a_wrong"),
        "1.2",
    )
    assert broken.plugin.module == module
    assert fault in broken.fault and "--without a_wrong" in broken.fault and "\n" not in broken.fault
    with pytest.raises(PluginError, match="--without a_wrong"):
        load_plugins()
    assert "demo" in [plugin.name for plugin in load_plugins(["a_wrong"]).plugins]


def test_two_broken_plugins_are_both_named(install):
    install("one", "import nothing_one")
    install("two", "import nothing_two")
    assert [one.plugin.name for one in load_working()[1]] == ["one", "two"]


def test_ls_plugins_shows_what_is_broken_and_what_the_others_offer(install, cli):
    module = install("wrong", "import no_such_module_at_all")
    status, out, _ = cli("ls", "plugins")
    listed = dict(line.split("\t", 1) for line in out.splitlines())
    assert status == 0
    assert listed["wrong"].startswith(f"rlvr-harness-wrong 1.2 ({module}): broken: ")
    assert listed["demo"].endswith("(rlvr_demo): tasks countdown; verifiers countdown; trainers demo")
    assert listed["ray"].endswith("(rlvr_ray): an executor")


def test_ls_of_another_kind_warns_and_goes_on(install, cli):
    install("wrong", "import no_such_module_at_all")
    status, out, err = cli("ls", "verifiers")
    assert status == 0 and "countdown\t" in out
    assert err.startswith("warning: plugin 'wrong'")


def test_doctor_has_a_line_for_it(install, cli):
    install("wrong", "import no_such_module_at_all")
    status, out, _ = cli("doctor")
    assert status == 0
    assert [line for line in out.splitlines() if line.startswith("no\tplugins: plugin 'wrong'")]
    assert "ok\tplugins: code " in out


SANDBOX = """
class Sandbox:
    name = "mine"
    description = "two\\nlines"
    def isolation(self):
        raise OSError("no engine")
    def open(self):
        raise OSError("no engine")
@hookimpl
def provide_sandboxes():
    return [Sandbox()]
"""


def test_doctor_and_ls_take_a_sandbox_that_fails_and_a_description_of_two_lines(install, cli):
    install("wrong", IMPORT + SANDBOX)
    status, out, _ = cli("doctor")
    fault = "plugin 'wrong' cannot say what it isolates: OSError: no engine; choose another with --sandbox"
    assert status == 0 and f"no\tsandbox mine: {fault}" in out.splitlines()
    assert "mine\ttwo lines" in cli("ls", "sandboxes")[1].splitlines()


def test_help_and_version_need_no_plugin(install, cli):
    install("wrong", "raise SystemExit(5)")
    assert cli("--help")[0] == 0
    assert cli("--version")[0] == 0


def test_run_refuses_with_the_way_out(install, cli, tmp_path):
    install("wrong", "import no_such_module_at_all")
    status, _, err = cli("run", "--model", "demo/base", "--tasks", "countdown", "-o", tmp_path / "run")
    assert status == 1
    assert err.startswith("error: plugin 'wrong'") and "--without wrong" in err and err.count("\n") == 1


def test_a_report_is_written_without_a_broken_plugin(install, cli, run_folder):
    install("wrong", "import no_such_module_at_all")
    (run_folder / "report.html").unlink()
    status, _, err = cli("report", run_folder)
    assert status == 0
    assert (run_folder / "report.html").is_file()
    assert "warning: plugin 'wrong'" in err


SECTION = """
class Section:
    name = "mine"
    title = "Mine"
    def render_html(self, task, results):
        raise ValueError("<no> number")
@hookimpl
def provide_report_sections():
    return [Section()]
"""


def test_a_section_that_fails_says_so_in_its_place(install, cli, run_folder):
    install("wrong", IMPORT + SECTION)
    status, _, err = cli("report", run_folder)
    page = (run_folder / "report.html").read_text()
    assert status == 0
    assert "section &#x27;mine&#x27; of plugin &#x27;wrong&#x27; fails: ValueError: &lt;no&gt; number" in page
    assert "leave it out with --without wrong" in err


TITLE = """
class Section:
    name = "mine"
    rendered = False
    @property
    def title(self):
        return 1 / 0 if self.rendered else "Mine"
    def render_html(self, task, results):
        self.rendered = True
        return "<p>all</p>"
@hookimpl
def provide_report_sections():
    return [Section()]
"""


def test_a_section_whose_title_fails_is_named_too(install, cli, run_folder):
    install("wrong", IMPORT + TITLE)
    assert cli("report", run_folder)[0] == 0
    assert (
        "section &#x27;mine&#x27; of plugin &#x27;wrong&#x27; fails: ZeroDivisionError"
        in (run_folder / "report.html").read_text()
    )


METRIC = """
class Metric:
    name = "mine"
    description = "d"
    def measure(self, counts, ks):
        return {"mean": float("nan")}
@hookimpl
def provide_metrics():
    return [Metric()]
"""


def test_a_metric_that_fails_loses_no_sample_and_resume_goes_on_without_it(install, cli, tmp_path):
    install("wrong", IMPORT + METRIC)
    folder = tmp_path / "run"
    options = [
        "--tasks",
        "countdown",
        "--k",
        "2",
        "--n",
        "2",
        "--limit",
        "2",
        "--threads",
        "1",
        "--quiet",
        "-o",
        folder,
    ]
    status, _, err = cli("run", "--model", "demo/base", *options)
    assert status == 1
    assert "metric 'mine' of plugin 'wrong' fails: ValueError" in err and "--without wrong" in err
    assert cli("resume", folder, "--quiet", "--without", "wrong")[0] == 0
    assert json.loads((folder / "results.json").read_text())["tasks"]["countdown"]["models"]["model"]["samples"] == 4


def test_an_observer_that_fails_is_named_and_costs_no_run(install, cli, tmp_path):
    install("early", IMPORT + "@hookimpl\ndef run_started(spec):\n    raise KeyError('x')\n")
    install("late", IMPORT + "@hookimpl\ndef run_finished(results):\n    raise KeyError('x')\n")
    options = ["--tasks", "countdown", "--k", "2", "--n", "2", "--limit", "2", "--threads", "1", "--quiet"]
    status, _, err = cli("run", "--model", "demo/base", *options, "-o", tmp_path / "run")
    assert status == 0
    assert "warning: plugin 'early' fails in run_started: KeyError" in err
    assert "warning: plugin 'late' fails in run_finished: KeyError" in err


def test_an_observer_may_refuse_a_run(install, cli, tmp_path):
    refusal = (
        "from rlvr_harness import UsageError\n@hookimpl\ndef run_started(spec):\n    raise UsageError('not today')\n"
    )
    install("strict", IMPORT + refusal)
    options = ["--tasks", "countdown", "--k", "2", "--n", "2", "--limit", "2", "--threads", "1", "--quiet"]
    status, _, err = cli("run", "--model", "demo/base", *options, "-o", tmp_path / "run")
    assert (status, err.splitlines()[-1]) == (2, "error: not today")


def test_only_the_plugins_of_the_environment_variable_are_loaded(install, cli, monkeypatch):
    install("wrong", "import no_such_module_at_all")
    monkeypatch.setenv("RLVR_HARNESS_PLUGINS", "demo, hf")
    assert [plugin.name for plugin in load_plugins().plugins] == ["demo", "hf"]
    assert [plugin.name for plugin in load_plugins(["hf"]).plugins] == ["demo"]
    assert cli("ls", "tasks")[1].startswith("countdown\t")


def test_an_empty_environment_variable_means_all(monkeypatch):
    monkeypatch.setenv("RLVR_HARNESS_PLUGINS", " ")
    assert "math" in [plugin.name for plugin in load_plugins().plugins]


def test_an_unknown_name_in_the_environment_variable_is_refused(monkeypatch, cli):
    monkeypatch.setenv("RLVR_HARNESS_PLUGINS", "demo,maths")
    with pytest.raises(UnknownName, match="RLVR_HARNESS_PLUGINS names no plugin: maths; there are: code, counts"):
        load_plugins()
    status, _, err = cli("ls", "plugins")
    assert status == 2 and err.startswith("error: RLVR_HARNESS_PLUGINS names no plugin: maths")
