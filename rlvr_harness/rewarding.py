"""What `reward export` and `reward serve` do."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlvr_harness.demo_models import resolve_path
from rlvr_harness.errors import ModelError, UsageError, first_line
from rlvr_harness.registry import Registry, load_plugins
from rlvr_harness.rewards.files import FUNCTIONS, reward_file, write_whole
from rlvr_harness.rewards.opening import RewardSpec, open_rewards, reward_spec
from rlvr_harness.rewards.server import RewardServer, ServerLimits, check_address


def export(tasks: Sequence[str], framework: str, path: Path, base: str | None, options: Mapping[str, Any]) -> Path:
    """Writes the reward file of a framework; `options`: sandbox, sandbox_level, workers, include_path, data_dir."""
    if framework not in FUNCTIONS:
        raise UsageError(f"no reward format '{framework}'; there are: {', '.join(FUNCTIONS)}")
    spec = choose_reward(load_plugins(), tasks, base, options)
    write_whole(path, reward_file(framework, spec, version("rlvr-harness")))
    return path


def serve(
    tasks: Sequence[str], address: tuple[str, int, str | None], queue: int, base: str | None, options: Mapping[str, Any]
) -> None:
    """Serves until it is stopped; `address`: host, port, and the token asked for, or None."""
    from aiohttp import web

    host, port, token = address
    check_address(host, token)
    registry = load_plugins()
    rewards = open_rewards(choose_reward(registry, tasks, base, options), registry)
    application = RewardServer(rewards, token, ServerLimits(queue=queue)).application()

    async def tell(_: web.Application) -> None:
        told = ", ".join(f"{task} by {' '.join(both)}" for task, both in rewards.spec.verifiers.items())
        print(f"reward of {told}", file=sys.stderr, flush=True)

    application.on_startup.append(tell)
    try:
        web.run_app(application, host=host, port=port, print=lambda text: print(text, file=sys.stderr, flush=True))
    except OSError as error:
        raise UsageError(f"cannot serve at {host}:{port}: {error.strerror}; choose another --port") from error
    finally:
        rewards.close()


def special_tokens(base: str | None) -> tuple[str, ...]:
    """The texts of a tokenizer's special tokens, which decoding leaves behind a completion."""
    if base is None:
        return ()
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve_path(base))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"--base {base}: its tokenizer cannot be read: {first_line(error)}; give a local folder"
        ) from error
    return tuple(sorted(set(tokenizer.all_special_tokens)))


def choose_reward(registry: Registry, tasks: Sequence[str], base: str | None, options: Mapping[str, Any]) -> RewardSpec:
    """The verifiers of the tasks; `options`: sandbox, sandbox_level, workers, include_path, data_dir."""
    given = {name: options.get(name) for name in ("include_path", "data_dir")}
    paths = {name: str(path.resolve()) if path else None for name, path in given.items()}
    choice = RewardSpec(
        {}, options["sandbox"], options["sandbox_level"], options.get("workers"), special_tokens(base), **paths
    )
    return reward_spec(registry, tasks, choice)
