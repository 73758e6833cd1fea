"""What is refused before Ray is asked for anything, with ray installed or not."""

import importlib.util
import pickle

import pytest

from rlvr_harness import ExecutionRequest, HarnessError, ModelError, ModelRequest, UsageError
from rlvr_harness.executing import LocalExecutor, find_executor
from rlvr_harness.registry import load_plugins
from rlvr_ray.crew import check_versions
from rlvr_ray.engine import Engine, Opening, Place, versions
from rlvr_ray.execution import RayExecutor
from rlvr_ray.options import RayOptions, ray_options

pytestmark = pytest.mark.without_ray


def test_options_are_taken_as_given():
    given = {"address": "auto", "sampler_actors": 2, "gpus_per_actor": 0.5, "restarts": 0}
    assert ray_options(given) == RayOptions("auto", 2, 0.5, restarts=0)


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        ({"actors": 2}, "unknown actors"),
        ({"sampler_actors": 0}, "sampler_actors=0 is not a whole number from 1 on"),
        ({"gpus_per_actor": 1.5}, "gpus_per_actor=1.5 is not"),
        ({"restarts": True}, "restarts=True is not"),
        ({"wait_s": -1}, "wait_s=-1 is not seconds"),
        ({"address": "ray://head:10001"}, "client protocol"),
    ],
)
def test_options_out_of_range_are_refused_by_name(args, fault):
    with pytest.raises(UsageError, match=fault):
        ray_options(args)


def test_an_engine_has_as_many_threads_as_cpus_of_its_actor():
    assert [ray_options({"cpus_per_actor": cpus}).threads for cpus in (0.5, 1, 4)] == [1, 1, 4]


def test_another_version_on_a_node_is_refused_by_name():
    with pytest.raises(HarnessError, match=r"node n7 has rlvr-harness 0\.0\.9, and this machine"):
        check_versions(Place("n7", 1, {**versions(), "rlvr-harness": "0.0.9"}))
    check_versions(Place("n7", 1, versions()))


def test_local_takes_no_arguments_of_an_executor():
    with pytest.raises(UsageError, match="local takes no --executor_args"):
        LocalExecutor().threads({"address": "auto"})


def test_the_executor_is_found_by_the_name_of_its_plugin():
    registry = load_plugins()
    assert isinstance(find_executor(registry, "ray"), RayExecutor)
    with pytest.raises(UsageError, match="no plugin offers an executor named 'slurm'; there are: local, ray"):
        find_executor(registry, "slurm")


INSTALLED = getattr(importlib.util.find_spec("ray"), "origin", None) is not None


@pytest.mark.skipif(INSTALLED, reason="ray is installed")
def test_without_ray_the_extra_is_named():
    with pytest.raises(UsageError, match=r"pip install 'rlvr-harness\[ray\]'"):
        RayExecutor().threads({})


def test_a_folder_that_a_node_cannot_read_is_named(tmp_path):
    sent = Opening(b"", ModelRequest("base", str(tmp_path / "weights")), is_folder=True, folder=str(tmp_path))
    with pytest.raises(ModelError, match=r"^node \S+ cannot read the folder \S+weights of the base model; put it on"):
        Engine().open(sent)


def test_a_sampler_that_a_node_does_not_have_is_named(tmp_path):
    gone = pickle.dumps(RayOptions).replace(b"rlvr_ray.options", b"rlvr_xyz.options")
    with pytest.raises(ModelError, match=r"^node \S+ cannot load the sampler: ModuleNotFoundError.*rlvr_xyz"):
        Engine().open(Opening(gone, ModelRequest("base", "hub/id"), is_folder=False, folder=str(tmp_path)))


@pytest.mark.parametrize("device", ["cuda:1", "0,1", "cpu,cpu"])
def test_devices_are_left_to_ray(device):
    with pytest.raises(UsageError, match="it is Ray that chooses"):
        RayExecutor().start(ExecutionRequest(device=device))
