"""Every backend keeps every promise of its isolation level on this machine."""

import pytest

from rlvr_sandbox.backends.bwrap import BwrapBackend
from rlvr_sandbox.backends.local import LocalBackend
from rlvr_sandbox.backends.unsafe import UnsafeBackend
from rlvr_sandbox.conformance import CHECKS


@pytest.fixture(scope="module", params=[LocalBackend, BwrapBackend, UnsafeBackend], ids=lambda kind: kind.name)
def backend(request):
    made = request.param()
    if made.isolation().level == 0:
        pytest.skip(f"{made.name}: {'; '.join(made.isolation().missing)}")
    return made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name.replace(" ", "-"))
def test_backend_keeps_its_promise(backend, check):
    if check.level > backend.isolation().level:
        pytest.skip(f"promised from level {check.level}; {backend.name} is level {backend.isolation().level} here")
    assert check.run(backend) == ""


def test_no_two_checks_share_a_name():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
