"""The training backend `verl`: plans commands for a verl that lives in an environment of its own."""

from rlvr_harness import hookimpl
from rlvr_verl.backend import Verl


@hookimpl
def provide_trainers() -> list[Verl]:
    """The backend."""
    return [Verl()]
