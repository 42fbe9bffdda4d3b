"""What might have happened: operations of any network with random masks of given densities, drawn as they are needed.

    for op in synthesize("resnet50", batch=256, weight_density=0.2, activation_density=0.5):
        ...

Needs numpy only.
"""

from accelsim.synth.generate import SyntheticTrace, synthesize
from accelsim.synth.networks import NETWORKS
from accelsim.synth.plan import Plan
from accelsim.synth.topology import Layer
from accelsim.synth.topology_csv import read_topology

__all__ = ["NETWORKS", "Layer", "Plan", "SyntheticTrace", "read_topology", "synthesize"]
