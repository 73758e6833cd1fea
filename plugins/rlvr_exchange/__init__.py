"""Importers of samples that other programs drew and judged, one file a format."""

from rlvr_exchange.deciding import SampleFormat
from rlvr_exchange.evalplus import EvalPlusResults
from rlvr_exchange.inspect_logs import InspectLogs
from rlvr_exchange.livecodebench import LiveCodeBenchResults
from rlvr_exchange.lm_eval_samples import LmEvalSamples
from rlvr_exchange.math_eval import MathEvalOutputs
from rlvr_exchange.plain import PlainSamples
from rlvr_exchange.verifiers_traces import VerifiersRollouts
from rlvr_harness import hookimpl


@hookimpl
def provide_importers() -> list[SampleFormat]:
    """The importers of all formats."""
    return [
        LmEvalSamples(),
        EvalPlusResults(),
        LiveCodeBenchResults(),
        MathEvalOutputs(),
        InspectLogs(),
        VerifiersRollouts(),
        PlainSamples(),
    ]
