"""Simulates a training while it runs: `live` inside a loop, `accelsim profile` around a script. Needs PyTorch."""

from accelsim.live.meter import Meter, live

__all__ = ["Meter", "live"]
