"""Which numbers a machine's number format turns into zero: every format comes down to one threshold a tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from accelsim.errors import TracingError

TensorKind = Literal["weight", "activation", "gradient"]
Format = Literal["exact", "fp8_e5m2", "fp8_e4m3", "int8"]
ZeroAs = Format | float
ZeroAsSetting = ZeroAs | Mapping[TensorKind, ZeroAs]

# With a per-tensor scale that maps the largest magnitude to the format's largest normal number, round-to-nearest-even
# yields zero exactly up to half of the smallest number above zero (the tie goes to zero, which is even): as a share
# of the largest magnitude.
_HALF_STEP: dict[str, float] = {
    "fp8_e5m2": 0.5 * 2.0**-16 / 57344.0,
    "fp8_e4m3": 0.5 * 2.0**-9 / 448.0,
    "int8": 0.5 / 127.0,
}


@dataclass(frozen=True)
class Zeros:
    """What counts as zero, per kind of tensor: a format's name, or a magnitude up to which a number is zero."""

    weight: ZeroAs
    activation: ZeroAs
    gradient: ZeroAs

    @classmethod
    def parse(cls, setting: ZeroAsSetting) -> Zeros:
        """Check a user's setting: one value for all tensors, or a dict by kind (kinds left out are "exact").

        Raises:
            TracingError: an unknown kind or format, or a threshold that is not a finite number of at least 0.
        """
        kinds = get_args(TensorKind)
        if not isinstance(setting, Mapping):
            return cls(*[_checked(setting, "zero_as")] * len(kinds))
        for kind in setting:
            if kind not in kinds:
                raise TracingError(f"zero_as has the key {kind!r}, expected {', '.join(kinds)}")
        return cls(*[_checked(setting.get(kind, "exact"), f"zero_as[{kind!r}]") for kind in kinds])

    def threshold(self, kind: TensorKind, tensor: torch.Tensor) -> float:
        """Return t such that an element x of the tensor is zero if and only if |x| <= t.

        fp8 and int8 are scaled per tensor: the largest magnitude becomes the format's largest normal number (57344
        for fp8_e5m2, 448 for fp8_e4m3, 127 for int8), then round to nearest, ties to even. A tensor with an infinity
        or a NaN has no such scale: its exact zeros count.
        """
        zero_as = getattr(self, kind)
        if not isinstance(zero_as, str):
            return float(zero_as)
        if zero_as == "exact" or tensor.numel() == 0 or not tensor.is_floating_point():
            return 0.0
        low, high = torch.aminmax(tensor)
        largest = max(-float(low), float(high))
        return largest * _HALF_STEP[zero_as] if math.isfinite(largest) else 0.0

    def plain(self) -> dict[str, str | float]:
        """Return the setting as plain values, for a trace's metadata."""
        return {"weight": self.weight, "activation": self.activation, "gradient": self.gradient}


def _checked(value: object, where: str) -> ZeroAs:
    formats = get_args(Format)
    if isinstance(value, str) and value in formats:
        return value  # type: ignore[return-value]  # one of the literals, as just checked
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    raise TracingError(f"{where} is {value!r}, expected {', '.join(formats)} or a finite threshold of at least 0")
