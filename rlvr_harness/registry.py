"""Loads plugins and answers name -> offered object. It refuses every doubt, and no result depends on load order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import pluggy

from rlvr_harness import hookspecs
from rlvr_harness.contracts import Importer, Metric, ReportSection, Sampler, SamplerFamily, Task, Trainer, Verifier
from rlvr_harness.errors import PluginError, UnknownName
from rlvr_harness.sandbox_contracts import Sandbox
from rlvr_harness.training_contracts import TrainingBackend

GROUP = hookspecs.PROJECT
ONLY = "RLVR_HARNESS_PLUGINS"
"""Environment variable: names of the only plugins to load, comma-separated; unset or empty for all."""
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "task": Task,
    "verifier": Verifier,
    "sampler": Sampler,
    "sandbox": Sandbox,
    "trainer": (TrainingBackend, Trainer),
    "metric": Metric,
    "report_section": ReportSection,
    "importer": Importer,
}
MOST_NAMED = 20
"""Names in one error; past it the command that lists them says more."""
PLURALS = {kind: f"{kind}s" for kind in KINDS} | {"sandbox": "sandboxes"}
DISTRIBUTION = "rlvr-harness"
MANY, SHOWN = 20, 3
"""From how many names of a kind on a plugin's are counted, and how many of these are shown."""


class Named(Protocol):
    """All that the registry asks of an offered object."""

    name: str


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin: its entry point's name, and the distribution and version it came from."""

    name: str
    distribution: str
    version: str
    module: str


@dataclass(frozen=True)
class BrokenPlugin:
    """An installed plugin that the registry refuses, and why, in one line."""

    plugin: Plugin
    fault: str


@dataclass(frozen=True)
class Registry:
    """Everything the loaded plugins offer, by kind and name."""

    plugins: tuple[Plugin, ...]
    offered: Mapping[str, Mapping[str, Any]]
    providers: Mapping[str, Mapping[str, str]]
    hooks: Any = field(repr=False)

    def get(self, kind: str, name: str) -> Any:
        """The object of that kind and name, or the member NAME of a family by `FAMILY:NAME`.

        Raises UnknownName with the nearest names.
        """
        try:
            return self.offered[kind][name]
        except KeyError:
            pass
        stem, colon, member = name.partition(":")
        family = self.offered[kind].get(stem)
        if colon and isinstance(family, SamplerFamily):
            return family.member(member)
        known = sorted(self.offered[kind])
        near = get_close_matches(name, known, n=3)
        there = f"there are: {', '.join(known) or 'none'}"
        told = there if len(known) <= MOST_NAMED else f"`rlvr-harness ls {PLURALS[kind]}` lists them"
        hint = f"did you mean {' or '.join(near)}?" if near else told
        raise UnknownName(f"no plugin offers {'an' if kind[0] in 'aeiou' else 'a'} {kind} named '{name}'; {hint}")

    def offers_of(self, plugin: str) -> str:
        """What one plugin provides, as text: `tasks gsm8k, math500; verifiers math`; many are counted."""
        parts = []
        for kind, owners in self.providers.items():
            names = sorted(name for name, owner in owners.items() if owner == plugin)
            if names:
                parts.append(f"{PLURALS[kind].replace('_', ' ')} {_some(names)}")
        return "; ".join(parts)

    def all(self, kind: str) -> list[Any]:
        """Every object of a kind, sorted by name."""
        return [self.offered[kind][name] for name in sorted(self.offered[kind])]


def load_plugins(without: Iterable[str] = (), extra: Sequence[tuple[str, object]] = ()) -> Registry:
    """Loads every plugin of the entry point group `rlvr_harness`, less `without`, plus `extra` (name, module) pairs.

    Where the environment variable RLVR_HARNESS_PLUGINS names plugins, no others of the group are loaded. Raises
    PluginError, naming the plugin, when one does not import, implements a hook that does not exist, wraps a hook,
    offers an object that breaks its contract, or offers a name that another plugin has.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    skipped = set(without)
    found = _installed()
    known = {point.name for point in found} | {name for name, _ in extra}
    _check_names("--without", skipped, known)
    wanted = {name.strip() for name in os.environ.get(ONLY, "").split(",")} - {""}
    _check_names(ONLY, wanted, known)
    plugins = []
    for point in found:
        if point.name not in skipped and (not wanted or point.name in wanted):
            plugins.append(_load(manager, point))
    for name, module in extra:
        if name not in skipped:
            _register(manager, name, module)
            plugins.append(Plugin(name, "given", "0", getattr(module, "__name__", type(module).__name__)))
    _check_hooks(manager)
    offered, providers = _collect(manager, [plugin.name for plugin in plugins])
    return Registry(tuple(plugins), offered, providers, manager.hook)


def load_working(without: Iterable[str] = ()) -> tuple[Registry, tuple[BrokenPlugin, ...]]:
    """As `load_plugins`, but a plugin that it would refuse is left out and told: for looking, never for a run."""
    broken: list[BrokenPlugin] = []
    points = {point.name: point for point in _installed()}
    while True:
        try:
            return load_plugins({*without, *(one.plugin.name for one in broken)}), tuple(broken)
        except PluginError as error:
            if error.plugin is None or error.plugin not in points:
                raise
            broken.append(BrokenPlugin(_described(points[error.plugin]), str(error)))


def _installed() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def _check_names(source: str, names: set[str], known: set[str]) -> None:
    if unknown := names - known:
        raise UnknownName(
            f"{source} names no plugin: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}"
        )


def _some(names: Sequence[str]) -> str:
    """All names, or of many the first few and how many there are: `a, b, c, ... (104)`."""
    return ", ".join(names) if len(names) <= MANY else f"{', '.join(names[:SHOWN])}, ... ({len(names):,})"


def _refused(plugin: str, what: str) -> PluginError:
    return PluginError(f"plugin '{plugin}'{what}; leave it out with {_way_out(plugin)}", plugin)


def _way_out(plugin: str) -> str:
    return f"--without {plugin} (a command without that option: name the plugins to load in {ONLY})"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _load(manager: pluggy.PluginManager, point: EntryPoint) -> Plugin:
    try:
        module = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"plugin '{point.name}' ({point.value}) does not import: {_told(error)}; "
            f"repair it, or leave it out with {_way_out(point.name)}",
            point.name,
        ) from error
    _register(manager, point.name, module)
    return _described(point)


def _described(point: EntryPoint) -> Plugin:
    distribution = point.dist
    return Plugin(
        point.name,
        distribution.name if distribution else "unknown",
        distribution.version if distribution else "unknown",
        point.value,
    )


def _register(manager: pluggy.PluginManager, name: str, module: object) -> None:
    if manager.has_plugin(name) or manager.is_registered(module):
        raise _refused(name, " is offered twice")
    try:
        manager.register(module, name=name)
    except pluggy.PluginValidationError as error:
        raise _refused(name, f": {' '.join(str(error).split())}") from error
    except Exception as error:  # pluggy looks at every attribute, which may run the plugin's code
        raise _refused(name, f" fails when it is looked at: {_told(error)}") from error


def _check_hooks(manager: pluggy.PluginManager) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        name = manager.get_name(error.plugin) or "?"
        raise _refused(name, f": {str(error).splitlines()[0]}") from error
    for hook_name in vars(manager.hook):
        for implementation in getattr(manager.hook, hook_name).get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                raise _refused(implementation.plugin_name, f" wraps {hook_name}, which is not allowed")


def _collect(
    manager: pluggy.PluginManager, names: list[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, str]]]:
    offered: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    providers: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for kind, contract in KINDS.items():
        hook_name = f"provide_{PLURALS[kind]}"
        for implementation in getattr(manager.hook, hook_name).get_hookimpls():
            plugin = implementation.plugin_name
            for thing in _call(implementation, hook_name):
                _check_offer(kind, contract, thing, plugin)
                if thing.name in offered[kind]:
                    raise _clash(kind, thing.name, providers[kind][thing.name], plugin)
                offered[kind][thing.name] = thing
                providers[kind][thing.name] = plugin
    return offered, providers


def _clash(kind: str, name: str, first: str, second: str) -> PluginError:
    """Lays the fault on the plugin that is not ours, else on the later name: the same in any load order."""
    ours = {point.name for point in _installed() if point.dist and point.dist.name == DISTRIBUTION}
    plugin = max((first, second), key=lambda each: (each not in ours, each))
    both = " and ".join(f"'{each}'" for each in sorted((first, second)))
    return PluginError(f"{kind} '{name}' is offered by plugins {both}; leave one out with {_way_out(plugin)}", plugin)


def _call(implementation: Any, hook_name: str) -> Iterable[Any]:
    plugin = implementation.plugin_name
    try:
        things = implementation.function()
    except (Exception, SystemExit) as error:
        raise _refused(plugin, f" fails in {hook_name}: {_told(error)}") from error
    if not isinstance(things, list):
        raise _refused(plugin, f": {hook_name} returns {type(things).__name__}, not a list")
    return things


def _check_offer(kind: str, contract: Any, thing: Any, plugin: str) -> None:
    try:
        lacking = min((_wanted(c, thing) for c in _contracts(contract)), key=len)
        nameless = not lacking and (not isinstance(thing.name, str) or not thing.name)
        shown = " ".join(repr(thing).split())
    except Exception as error:  # the contract's properties run the plugin's code
        raise _refused(plugin, f" offers a {kind} that fails when it is looked at: {_told(error)}") from error
    if lacking:
        raise _refused(plugin, f" offers a {kind} without {', '.join(lacking)}: {shown}")
    if nameless:
        raise _refused(plugin, f" offers a {kind} with no name: {shown}")


def _contracts(contract: Any) -> tuple[Any, ...]:
    return contract if isinstance(contract, tuple) else (contract,)


def _wanted(contract: Any, thing: Any) -> list[str]:
    """What the contract promises and the object lacks. Not by isinstance: from Python 3.12 on it runs no property."""
    promised = {name for name in (*contract.__annotations__, *vars(contract)) if not name.startswith("_")}
    return sorted(name for name in promised if not hasattr(thing, name))
