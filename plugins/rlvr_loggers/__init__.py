"""Follows a run in Weights & Biases, Trackio or MLflow: `--log wandb,mlflow`."""

from __future__ import annotations

from rlvr_loggers.following import LogObserver

observer = LogObserver()
