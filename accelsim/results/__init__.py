"""The result of a simulation: its tables and files."""

from accelsim.results.result import Result
from accelsim.results.row import MachineRun, PassResult

__all__ = ["MachineRun", "PassResult", "Result"]
