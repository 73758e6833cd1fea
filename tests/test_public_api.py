"""What users and plugins may rely on; a change here is a change of the contract."""

import inspect

import rlvr_harness
from rlvr_harness import hookspecs

PUBLIC = [
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
HOOKS = {
    "provide_tasks": [],
    "provide_verifiers": [],
    "provide_samplers": [],
    "provide_sandboxes": [],
    "provide_trainers": [],
    "provide_metrics": [],
    "provide_report_sections": [],
    "provide_importers": [],
    "run_started": ["spec", "run_dir"],
    "stage_finished": ["stage", "run_dir"],
    "run_finished": ["results", "run_dir"],
}


def hooks():
    return {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "rlvr_harness_spec")}


def test_public_names_are_these():
    assert sorted(rlvr_harness.__all__) == PUBLIC


def test_public_names_are_listed_in_order():
    assert rlvr_harness.__all__ == sorted(rlvr_harness.__all__)


def test_every_public_name_exists():
    assert [name for name in rlvr_harness.__all__ if not hasattr(rlvr_harness, name)] == []


def test_hooks_and_their_arguments_are_these():
    assert {name: list(inspect.signature(hook).parameters) for name, hook in hooks().items()} == HOOKS


def test_every_hook_has_types_and_says_when_it_is_called():
    for name, hook in hooks().items():
        signature = inspect.signature(hook)
        annotations = [signature.return_annotation, *(each.annotation for each in signature.parameters.values())]
        assert inspect.Signature.empty not in annotations, name
        assert hook.__doc__.startswith("Called "), name


def test_entry_point_group_and_hook_project_are_named_after_the_package():
    assert hookspecs.PROJECT == "rlvr_harness"
