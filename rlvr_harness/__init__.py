"""rlvr-harness: large-k evaluation of RLVR checkpoints against their base. This is the whole public API."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rlvr_harness.boxes import last_closed_box
from rlvr_harness.checkpoints import CheckpointProfile, check_checkpoint, trusts_remote_code, weight_hash
from rlvr_harness.contracts import (
    AnswerVerifier,
    ComparableProfile,
    Importer,
    LoadedTask,
    Metric,
    ModelProfile,
    OpenModel,
    ProfiledTask,
    ReportSection,
    Sampler,
    SamplerFamily,
    SelfTestingVerifier,
    StreamingModel,
    Task,
    Trainer,
    VariableTask,
    Verifier,
    WorkSource,
)
from rlvr_harness.end_tokens import cut_at_stop, declared_end_ids, end_ids, with_stop_tokens
from rlvr_harness.errors import (
    HarnessError,
    ModelError,
    PluginError,
    RunFolderError,
    TaskError,
    TooFewSamples,
    UnknownName,
    UsageError,
    VerifierLost,
    first_line,
)
from rlvr_harness.exchange_contracts import (
    ForeignChoice,
    ForeignRow,
    ForeignSample,
    RecognisingImporter,
    SampleImporter,
)
from rlvr_harness.executor_contracts import (
    Execution,
    ExecutionRequest,
    Executor,
    VerifierWorkers,
    WorkerSource,
)
from rlvr_harness.hookspecs import hookimpl
from rlvr_harness.lm_eval_bridge import generate_texts, lm_eval_model_names, open_lm, packaged_task, yaml_task
from rlvr_harness.lm_eval_likelihoods import score_tokens
from rlvr_harness.local_tokenizer import LocalTokenizer, about_tokens
from rlvr_harness.logged_numbers import curve_rows, run_settings, summary_numbers
from rlvr_harness.pair_tokens import text_ids
from rlvr_harness.picture_checkpoints import PictureCheckpoint, opened_picture, sees_pictures
from rlvr_harness.records import FinishReason, Measurement, Outcome, Problem, Sample, Tally, Verdict
from rlvr_harness.requests import (
    Counts,
    Documents,
    ImportRequest,
    ModelFacts,
    ModelRequest,
    PromptRequest,
    SampleRequest,
    SamplingLaw,
    SandboxChoice,
    WorkLimits,
    WorkUnit,
)
from rlvr_harness.sampler_contracts import (
    EarlyEnd,
    MeteredModel,
    NotedModel,
    ParallelModel,
    PictureProfile,
    SharingSampler,
    SideBySideSampler,
    UnitSource,
)
from rlvr_harness.sandbox_contracts import Isolation, Sandbox, SandboxedVerifier
from rlvr_harness.scoring_contracts import EntropyModel, ScoringModel, TextEntropy, TextPair, TextScore
from rlvr_harness.training_contracts import (
    Checkpoint,
    TrainableTask,
    TrainingBackend,
    TrainingData,
    TrainingPlan,
    TrainingProgress,
    TrainingRequest,
    TrainingSpec,
)
from rlvr_harness.training_environments import (
    TrainingEnvironment,
    as_ray_job,
    is_whole_checkpoint,
    lacking_gpus,
    lacking_packages,
    parameter_count,
    read_rows,
    reward_environment,
    reward_fault,
    run_script,
    survey_environment,
)
from rlvr_harness.verifier_workers import LocalWorkers

if TYPE_CHECKING:
    from rlvr_harness.notebooks import LoadedRun, load_run

__version__ = "0.1.0"
_NOTEBOOKS = ("LoadedRun", "load_run")
"""Loaded when asked for: they need numpy and pyarrow, which `--help` does without."""

__all__ = [
    "AnswerVerifier",
    "Checkpoint",
    "CheckpointProfile",
    "ComparableProfile",
    "Counts",
    "Documents",
    "EarlyEnd",
    "EntropyModel",
    "Execution",
    "ExecutionRequest",
    "Executor",
    "FinishReason",
    "ForeignChoice",
    "ForeignRow",
    "ForeignSample",
    "HarnessError",
    "ImportRequest",
    "Importer",
    "Isolation",
    "LoadedRun",
    "LoadedTask",
    "LocalTokenizer",
    "LocalWorkers",
    "Measurement",
    "MeteredModel",
    "Metric",
    "ModelError",
    "ModelFacts",
    "ModelProfile",
    "ModelRequest",
    "NotedModel",
    "OpenModel",
    "Outcome",
    "ParallelModel",
    "PictureCheckpoint",
    "PictureProfile",
    "PluginError",
    "Problem",
    "ProfiledTask",
    "PromptRequest",
    "RecognisingImporter",
    "ReportSection",
    "RunFolderError",
    "Sample",
    "SampleImporter",
    "SampleRequest",
    "Sampler",
    "SamplerFamily",
    "SamplingLaw",
    "Sandbox",
    "SandboxChoice",
    "SandboxedVerifier",
    "ScoringModel",
    "SelfTestingVerifier",
    "SharingSampler",
    "SideBySideSampler",
    "StreamingModel",
    "Tally",
    "Task",
    "TaskError",
    "TextEntropy",
    "TextPair",
    "TextScore",
    "TooFewSamples",
    "TrainableTask",
    "Trainer",
    "TrainingBackend",
    "TrainingData",
    "TrainingEnvironment",
    "TrainingPlan",
    "TrainingProgress",
    "TrainingRequest",
    "TrainingSpec",
    "UnitSource",
    "UnknownName",
    "UsageError",
    "VariableTask",
    "Verdict",
    "Verifier",
    "VerifierLost",
    "VerifierWorkers",
    "WorkLimits",
    "WorkSource",
    "WorkUnit",
    "WorkerSource",
    "__version__",
    "about_tokens",
    "as_ray_job",
    "check_checkpoint",
    "curve_rows",
    "cut_at_stop",
    "declared_end_ids",
    "end_ids",
    "first_line",
    "generate_texts",
    "hookimpl",
    "is_whole_checkpoint",
    "lacking_gpus",
    "lacking_packages",
    "last_closed_box",
    "lm_eval_model_names",
    "load_run",
    "open_lm",
    "opened_picture",
    "packaged_task",
    "parameter_count",
    "read_rows",
    "reward_environment",
    "reward_fault",
    "run_script",
    "run_settings",
    "score_tokens",
    "sees_pictures",
    "summary_numbers",
    "survey_environment",
    "text_ids",
    "trusts_remote_code",
    "weight_hash",
    "with_stop_tokens",
    "yaml_task",
]


def __getattr__(name: str) -> Any:
    """The names of `_NOTEBOOKS`."""
    if name in _NOTEBOOKS:
        return getattr(import_module("rlvr_harness.notebooks"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
