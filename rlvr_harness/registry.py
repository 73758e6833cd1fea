"""Loads plugins and answers name -> offered object. It refuses every doubt, and no result depends on load order."""

from __future__ import annotations

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
        """What one plugin provides, as text: `tasks gsm8k, math500; verifiers math`."""
        parts = []
        for kind, owners in self.providers.items():
            names = sorted(name for name, owner in owners.items() if owner == plugin)
            if names:
                parts.append(f"{PLURALS[kind].replace('_', ' ')} {', '.join(names)}")
        return "; ".join(parts)

    def all(self, kind: str) -> list[Any]:
        """Every object of a kind, sorted by name."""
        return [self.offered[kind][name] for name in sorted(self.offered[kind])]


def load_plugins(without: Iterable[str] = (), extra: Sequence[tuple[str, object]] = ()) -> Registry:
    """Loads every plugin of the entry point group `rlvr_harness`, less `without`, plus `extra` (name, module) pairs.

    Raises PluginError, naming the plugin, when one does not import, implements a hook that does not exist, wraps a
    `provide_*` hook, offers an object that breaks its contract, or offers a name that another plugin has.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    skipped = set(without)
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    known = {point.name for point in found} | {name for name, _ in extra}
    if unknown := skipped - known:
        raise UnknownName(
            f"--without names no plugin: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}"
        )
    plugins = []
    for point in found:
        if point.name not in skipped:
            plugins.append(_load(manager, point))
    for name, module in extra:
        if name not in skipped:
            _register(manager, name, module)
            plugins.append(Plugin(name, "given", "0", getattr(module, "__name__", type(module).__name__)))
    _check_hooks(manager)
    offered, providers = _collect(manager, [plugin.name for plugin in plugins])
    return Registry(tuple(plugins), offered, providers, manager.hook)


def _load(manager: pluggy.PluginManager, point: EntryPoint) -> Plugin:
    try:
        module = point.load()
    except Exception as error:
        raise PluginError(
            f"plugin '{point.name}' ({point.value}) does not import: {type(error).__name__}: {error}; "
            f"repair it, or leave it out with --without {point.name}"
        ) from error
    _register(manager, point.name, module)
    distribution = point.dist
    return Plugin(
        point.name,
        distribution.name if distribution else "unknown",
        distribution.version if distribution else "unknown",
        point.value,
    )


def _register(manager: pluggy.PluginManager, name: str, module: object) -> None:
    try:
        manager.register(module, name=name)
    except pluggy.PluginValidationError as error:
        raise PluginError(
            f"plugin '{name}': {' '.join(str(error).split())}; leave it out with --without {name}"
        ) from error
    except ValueError as error:
        raise PluginError(f"plugin '{name}' is offered twice; leave it out with --without {name}") from error


def _check_hooks(manager: pluggy.PluginManager) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        name = manager.get_name(error.plugin) or "?"
        raise PluginError(
            f"plugin '{name}': {str(error).splitlines()[0]}; leave it out with --without {name}"
        ) from error
    for hook_name in vars(manager.hook):
        if not hook_name.startswith("provide_"):
            continue
        for implementation in getattr(manager.hook, hook_name).get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginError(
                    f"plugin '{implementation.plugin_name}' wraps {hook_name}, which is not allowed; "
                    f"leave it out with --without {implementation.plugin_name}"
                )


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
                    raise PluginError(
                        f"{kind} '{thing.name}' is offered by plugins '{providers[kind][thing.name]}' and '{plugin}'; "
                        f"leave one out with --without {plugin}"
                    )
                offered[kind][thing.name] = thing
                providers[kind][thing.name] = plugin
    return offered, providers


def _call(implementation: Any, hook_name: str) -> Iterable[Any]:
    plugin = implementation.plugin_name
    try:
        things = implementation.function()
    except Exception as error:
        raise PluginError(
            f"plugin '{plugin}' fails in {hook_name}: {type(error).__name__}: {error}; "
            f"leave it out with --without {plugin}"
        ) from error
    if not isinstance(things, list):
        raise PluginError(f"plugin '{plugin}': {hook_name} returns {type(things).__name__}, not a list")
    return things


def _check_offer(kind: str, contract: Any, thing: Any, plugin: str) -> None:
    if not isinstance(thing, contract):
        wanted = min((_wanted(one, thing) for one in _contracts(contract)), key=len)
        raise PluginError(f"plugin '{plugin}' offers a {kind} without {', '.join(wanted)}: {thing!r}")
    if not isinstance(thing.name, str) or not thing.name:
        raise PluginError(f"plugin '{plugin}' offers a {kind} with no name: {thing!r}")


def _contracts(contract: Any) -> tuple[Any, ...]:
    return contract if isinstance(contract, tuple) else (contract,)


def _wanted(contract: Any, thing: Any) -> list[str]:
    """What the contract promises and the object lacks."""
    promised = {name for name in (*contract.__annotations__, *vars(contract)) if not name.startswith("_")}
    return sorted(name for name in promised if not hasattr(thing, name))
