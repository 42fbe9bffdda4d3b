"""Many machines: sweeps over a space of designs, on processes or a cluster, and the search for the best of them."""

from accelsim.explore.cluster import Cluster
from accelsim.explore.pareto import front
from accelsim.explore.processes import Processes
from accelsim.explore.search import search
from accelsim.explore.space import Space, load_space
from accelsim.explore.sweep import sweep

__all__ = ["Cluster", "Processes", "Space", "front", "load_space", "search", "sweep"]
