"""The best dense machine of a machine's area, which it is compared with."""

from accelsim.equal_area.candidates import candidates
from accelsim.equal_area.choice import Racecourse, finalists

__all__ = ["Racecourse", "candidates", "finalists"]
