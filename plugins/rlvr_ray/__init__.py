"""The `ray` executor: one run on the machines of a Ray cluster."""

from rlvr_ray.execution import RayExecutor

executor = RayExecutor()
"""Found by the core under the plugin's name."""
