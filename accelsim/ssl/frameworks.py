"""Self-supervised frameworks by name; each has an `encoder` to keep and a `loss(first, second)` of two views."""

from __future__ import annotations

from accelsim.ssl.simclr import SimCLR

FRAMEWORKS: dict[str, type[SimCLR]] = {"simclr": SimCLR}
