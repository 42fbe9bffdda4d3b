import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import TracingError
from accelsim.tracing.zeros import Zeros

FLOAT8 = {"fp8_e5m2": torch.float8_e5m2, "fp8_e4m3": torch.float8_e4m3fn}


def _values(seed: int, spread: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    magnitudes = torch.exp(spread * torch.randn(2000, generator=generator, dtype=torch.float64))
    return (magnitudes * torch.sign(torch.randn(2000, generator=generator, dtype=torch.float64))).float()


@pytest.mark.parametrize("name", FLOAT8)
@given(seed=st.integers(0, 1000), spread=st.floats(0.1, 12))
def test_fp8_is_torchs_cast_of_the_scaled_tensor(name, seed, spread):
    x = _values(seed, spread)
    number = FLOAT8[name]
    scaled = x.double() * (torch.finfo(number).max / x.abs().max().double())
    cast = scaled.float().to(number).float()
    threshold = Zeros.parse(name).threshold("gradient", x)
    ours = x.abs() > threshold
    different = ours != (cast != 0)
    # float32 rounds the scaled value before the cast does: only at the very threshold may the two differ
    assert torch.all((x[different].abs().double() / threshold - 1).abs() < 1e-6)


@given(seed=st.integers(0, 1000), spread=st.floats(0.1, 5))
def test_int8_rounds_half_to_even(seed, spread):
    x = _values(seed, spread).double().numpy()
    expected = np.round(x / (np.abs(x).max() / 127)) != 0
    assert np.array_equal(np.abs(x) > Zeros.parse("int8").threshold("weight", torch.from_numpy(x)), expected)


def test_ties_go_to_zero():
    threshold = Zeros.parse("int8").threshold("weight", torch.tensor([127.0, 0.5]))
    assert threshold == 0.5  # and 0.5 is not above it


def test_a_tensor_without_a_scale_counts_exactly():
    for x in ([1.0, math.inf], [math.nan, 1.0], [0.0, 0.0], []):
        assert Zeros.parse("int8").threshold("weight", torch.tensor(x)) == 0


def test_by_kind():
    zeros = Zeros.parse({"gradient": "int8", "weight": 0.25})
    assert zeros.plain() == {"weight": 0.25, "activation": "exact", "gradient": "int8"}
    assert zeros.threshold("weight", torch.ones(1)) == 0.25


@pytest.mark.parametrize("bad", ["fp8", -1.0, math.nan, math.inf, True, None, {"grad": "int8"}, {"weight": "int4"}])
def test_bad_settings_are_named(bad):
    with pytest.raises(TracingError, match="zero_as"):
        Zeros.parse(bad)
