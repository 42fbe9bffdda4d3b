"""Simulates a training while it runs: `live` inside a loop, `accelsim profile` around a script. Needs PyTorch."""

import sys
from types import ModuleType

from accelsim.errors import TracingError
from accelsim.extras import need

need("torch", "PyTorch", "simulating a training while it runs", "trace", TracingError)

from accelsim.live.meter import Meter, live  # noqa: E402

__all__ = ["Meter", "live"]


class _Room(ModuleType):
    """This room and the function in it share a name: `accelsim.live(...)` works whichever of them was found first."""

    __call__ = staticmethod(live)


sys.modules[__name__].__class__ = _Room
