from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace

import pytest

from rlvr_harness import hookimpl, registry
from rlvr_harness.errors import PluginError, UnknownName
from rlvr_harness.registry import load_plugins


class Metric:
    """The smallest object that keeps a contract."""

    description = "counts problems"

    def __init__(self, name="problems"):
        self.name = name

    def measure(self, counts, ks):
        return {"problems": len(counts.n)}


def offering(*metrics, hook="provide_metrics"):
    """A plugin whose hook returns the metrics."""
    return SimpleNamespace(**{hook: hookimpl(lambda: list(metrics))})


def returning(value):
    return SimpleNamespace(provide_metrics=hookimpl(lambda: value))


def load(**plugins):
    return load_plugins(extra=list(plugins.items()))


def test_our_own_plugins_offer_what_they_promise():
    found = load_plugins()
    names = [
        "code",
        "counts",
        "demo",
        "exchange",
        "hf",
        "lm_eval",
        "loggers",
        "math",
        "openai",
        "openrlhf",
        "ray",
        "reasoning_gym",
        "replay",
        "trl",
        "verl",
        "vision",
        "vllm",
    ]
    assert [plugin.name for plugin in found.plugins] == names
    assert {"hf", "vllm"} <= set(found.offered["sampler"])
    assert {"math", "countdown", "code"} <= set(found.offered["verifier"])
    assert set(found.offered["sandbox"]) == {"local", "bwrap", "docker", "docker-strict", "unsafe"}
    assert "counts" in found.offered["importer"]
    assert {"countdown", "gsm8k", "math500", "aime24", "aime25", "amc23"} <= set(found.offered["task"])


def test_a_plugin_is_recorded_with_distribution_and_version():
    math = next(plugin for plugin in load_plugins().plugins if plugin.name == "math")
    assert (math.distribution, math.module) == ("rlvr-harness", "rlvr_math")
    assert math.version != "unknown"


def test_an_offered_object_is_found_by_kind_and_name():
    metric = Metric()
    assert load(mine=offering(metric)).get("metric", "problems") is metric


def test_offers_are_the_same_in_any_load_order():
    plugins = [("b", offering(Metric("x"), Metric("z"))), ("a", offering(Metric("y")))]
    found = [[metric.name for metric in load_plugins(extra=order).all("metric")] for order in (plugins, plugins[::-1])]
    assert found == [["x", "y", "z"]] * 2


def test_all_lists_by_name_however_the_plugin_asked_to_be_called():
    eager = SimpleNamespace(provide_metrics=hookimpl(lambda: [Metric("z")], tryfirst=True))
    assert [metric.name for metric in load(eager=eager, late=offering(Metric("a"))).all("metric")] == ["a", "z"]


def test_what_a_plugin_offers_is_told_as_text():
    assert load(mine=offering(Metric("b"), Metric("a"))).offers_of("mine") == "metrics a, b"


def test_a_name_offered_twice_is_refused_with_both_plugins():
    with pytest.raises(
        PluginError, match=r"metric 'same' is offered by plugins '(one|two)' and '(one|two)'.*--without"
    ):
        load(one=offering(Metric("same")), two=offering(Metric("same")))


def test_a_name_offered_twice_by_one_plugin_is_refused():
    with pytest.raises(PluginError, match="metric 'same' is offered by plugins 'one' and 'one'"):
        load(one=offering(Metric("same"), Metric("same")))


def test_one_name_in_two_kinds_is_no_clash():
    section = SimpleNamespace(name="same", title="t", render_html=lambda task, results: "")
    found = load(one=offering(Metric("same")), two=offering(section, hook="provide_report_sections"))
    assert found.get("report_section", "same") is section


def test_one_plugin_given_twice_is_refused():
    plugin = offering(Metric())
    with pytest.raises(PluginError, match="plugin 'two' is offered twice"):
        load(one=plugin, two=plugin)


def test_a_hook_that_does_not_exist_is_refused():
    with pytest.raises(PluginError, match=r"plugin 'mine': .*provide_metric.*--without mine"):
        load(mine=offering(Metric(), hook="provide_metric"))


def test_a_hook_with_an_unknown_argument_is_refused():
    with pytest.raises(PluginError, match=r"plugin 'mine'.*--without mine"):
        load(mine=SimpleNamespace(run_started=hookimpl(lambda spec, folder: None)))


def test_a_hook_may_take_fewer_arguments():
    seen = []
    found = load(mine=SimpleNamespace(run_started=hookimpl(lambda run_dir: seen.append(run_dir))))
    found.hooks.run_started(spec={}, run_dir="here")
    assert seen == ["here"]


@pytest.mark.parametrize("kind", ["wrapper", "hookwrapper"])
def test_a_wrapper_on_a_provider_is_refused(kind):
    def provide_metrics():
        yield

    with pytest.raises(PluginError, match=r"plugin 'mine' wraps provide_metrics.*--without mine"):
        load(mine=SimpleNamespace(provide_metrics=hookimpl(provide_metrics, **{kind: True})))


def test_a_provider_that_fails_is_named_with_the_cause():
    with pytest.raises(PluginError, match=r"plugin 'mine' fails in provide_metrics: ZeroDivisionError.*--without mine"):
        load(mine=SimpleNamespace(provide_metrics=hookimpl(lambda: 1 / 0)))


@pytest.mark.parametrize("value", [None, (Metric(),), Metric(), {"m": Metric()}], ids=["None", "tuple", "one", "dict"])
def test_anything_but_a_list_is_refused(value):
    with pytest.raises(PluginError, match=f"plugin 'mine': provide_metrics returns {type(value).__name__}, not a list"):
        load(mine=returning(value))


def test_an_object_that_breaks_its_contract_is_refused_with_what_it_lacks():
    with pytest.raises(PluginError, match="plugin 'mine' offers a metric without description, measure"):
        load(mine=offering(SimpleNamespace(name="half")))


@pytest.mark.parametrize("name", ["", None, 3])
def test_an_object_without_a_name_is_refused(name):
    with pytest.raises(PluginError, match="plugin 'mine' offers a metric with no name"):
        load(mine=offering(Metric(name)))


def test_the_nearest_name_is_suggested():
    with pytest.raises(UnknownName, match="no plugin offers a task named 'gsm8'; did you mean gsm8k"):
        load_plugins().get("task", "gsm8")


def test_all_names_are_listed_where_none_is_near():
    with pytest.raises(UnknownName, match="no plugin offers a sampler named 'zzz'; there are: hf"):
        load_plugins().get("sampler", "zzz")


def test_a_plugin_left_out_offers_nothing():
    found = load_plugins(without=["math"])
    assert "math" not in [plugin.name for plugin in found.plugins]
    assert "math" not in found.offered["verifier"]


def test_leaving_out_an_unknown_plugin_is_refused():
    with pytest.raises(
        UnknownName, match="--without names no plugin: maths; there are: code, counts, demo, exchange, hf, lm_eval"
    ):
        load_plugins(without=["maths"])


@pytest.fixture
def broken_entry_point(monkeypatch):
    points = EntryPoints([EntryPoint("broken", "no_such_module_at_all", registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda group: points)


def test_a_plugin_that_does_not_import_is_refused_with_a_way_out(broken_entry_point):
    with pytest.raises(
        PluginError, match=r"plugin 'broken' .*does not import: ModuleNotFoundError: .*--without broken"
    ) as caught:
        load_plugins()
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_the_way_out_works(broken_entry_point):
    assert load_plugins(without=["broken"]).plugins == ()


class Family:
    """A sampler that stands for many."""

    name = "many"
    description = "d"

    def member(self, name):
        if name != "one":
            raise UnknownName(f"there is no {name}")
        return ("member", name)

    def profile(self, request):
        raise NotImplementedError

    def open(self, request):
        raise NotImplementedError


def test_a_member_of_a_family_is_asked_for_by_both_names():
    found = load(families=offering(Family(), hook="provide_samplers"))
    assert found.get("sampler", "many:one") == ("member", "one")
    with pytest.raises(UnknownName, match="there is no two"):
        found.get("sampler", "many:two")
    with pytest.raises(UnknownName, match="no plugin offers a sampler named 'hf:one'"):
        found.get("sampler", "hf:one")
