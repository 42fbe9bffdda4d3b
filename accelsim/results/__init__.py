"""The result of a simulation: its tables and files."""

from accelsim.results.equal_area import EqualArea
from accelsim.results.result import Result, mask_update_table
from accelsim.results.row import PassAccount, PassResult
from accelsim.results.whole_run import WholeRun, find_run

__all__ = ["EqualArea", "PassAccount", "PassResult", "Result", "WholeRun", "find_run", "mask_update_table"]
