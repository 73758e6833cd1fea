"""The training backend `openrlhf`: plans commands for an OpenRLHF that lives in an environment of its own."""

from rlvr_harness import hookimpl
from rlvr_openrlhf.backend import OpenRLHF


@hookimpl
def provide_trainers() -> list[OpenRLHF]:
    """The backend."""
    return [OpenRLHF()]
