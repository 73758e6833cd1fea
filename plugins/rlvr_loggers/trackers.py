"""The three trackers, each behind the same three calls; their libraries are imported when one is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from rlvr_harness import curve_rows, run_settings, summary_numbers

PROJECT = "rlvr-harness"
MLFLOW_KEY = re.compile(r"[^\w\-. :/]")
"""What MLflow takes in no name: `code@v2/pass@1` becomes `code_v2/pass_1`."""
MLFLOW_TEXT = 500
"""Characters of a parameter that every version of MLflow's server stores."""


class Tracker(Protocol):
    """One run in a tracker; every call may fail, and may take as long as the server does."""

    def start(self, spec: Mapping[str, Any], folder: Path) -> None:
        """Begins the run, with its options as settings."""

    def stage(self, stage: str) -> None:
        """Notes that a stage is done."""

    def finish(self, results: Mapping[str, Any]) -> None:
        """Sends the results and ends the run."""


def roles_of(results: Mapping[str, Any]) -> list[str]:
    """The models of all tasks, each once."""
    return list(dict.fromkeys(role for entry in results["tasks"].values() for role in entry["models"]))


def _rows(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for role in roles_of(results):
        for row in curve_rows(results, role):
            yield {f"{role}/{name}": value for name, value in row.items()}


def _summary(results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{role}/{name}": value for role in roles_of(results) for name, value in summary_numbers(results, role).items()
    }


class Wandb:
    """Weights & Biases; WANDB_MODE=offline keeps the run in its folder."""

    def start(self, spec: Mapping[str, Any], folder: Path) -> None:
        """Begins the run, with its options as settings."""
        import wandb

        self._run = wandb.init(project=PROJECT, name=folder.resolve().name, dir=str(folder), config=dict(spec))

    def stage(self, stage: str) -> None:
        """Notes that a stage is done."""
        self._run.summary["stage"] = stage

    def finish(self, results: Mapping[str, Any]) -> None:
        """Sends the results and ends the run."""
        self._run.config.update(run_settings(results), allow_val_change=True)
        for row in _rows(results):
            self._run.log(row)
        self._run.summary.update(_summary(results))
        self._run.finish()


class Trackio:
    """Trackio; TRACKIO_DIR names the folder of its database."""

    def start(self, spec: Mapping[str, Any], folder: Path) -> None:
        """Begins the run, with its options as settings."""
        import trackio

        self._library = trackio
        trackio.init(project=PROJECT, name=folder.resolve().name, config=dict(spec))

    def stage(self, stage: str) -> None:
        """Notes that a stage is done."""
        self._library.log({"stage": stage})

    def finish(self, results: Mapping[str, Any]) -> None:
        """Sends the results and ends the run."""
        for row in _rows(results):
            self._library.log(row)
        self._library.log(_summary(results))
        self._library.finish()


class Mlflow:
    """MLflow; MLFLOW_TRACKING_URI names the server or the folder."""

    def start(self, spec: Mapping[str, Any], folder: Path) -> None:
        """Begins the run, with its options as settings."""
        from mlflow import MlflowClient

        self._client = MlflowClient()
        known = self._client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self._client.create_experiment(PROJECT)
        self._run = self._client.create_run(experiment, run_name=folder.resolve().name).info.run_id
        for name, value in spec.items():
            if value not in (None, {}, []):
                self._client.log_param(self._run, name, str(value)[:MLFLOW_TEXT])

    def stage(self, stage: str) -> None:
        """Notes that a stage is done."""
        self._client.set_tag(self._run, "stage", stage)

    def finish(self, results: Mapping[str, Any]) -> None:
        """Sends the results, pass@k with k as the step, and ends the run."""
        for row in _rows(results):
            k = next(value for name, value in row.items() if name.endswith("/k"))
            for name, value in row.items():
                if not name.endswith("/k"):
                    self._client.log_metric(self._run, MLFLOW_KEY.sub("_", name), value, step=k)
        for name, value in _summary(results).items():
            self._client.log_metric(self._run, MLFLOW_KEY.sub("_", name), value)
        self._client.set_terminated(self._run)


TRACKERS: Mapping[str, type[Tracker]] = MappingProxyType({"wandb": Wandb, "trackio": Trackio, "mlflow": Mlflow})
"""Name of `--log`, which is the library's name too -> its tracker."""
