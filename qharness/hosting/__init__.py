"""What hosting a model costs: latency, memory, size, dollars, energy and CO2."""

from qharness.hosting.cost_profile import ProfileSpec, profile
from qharness.hosting.costs import estimated_energy, per_1000
from qharness.hosting.instances import Instance, find_instance, read_instances
from qharness.hosting.measurement import Load

__all__ = [
    "Instance",
    "Load",
    "ProfileSpec",
    "estimated_energy",
    "find_instance",
    "per_1000",
    "profile",
    "read_instances",
]
