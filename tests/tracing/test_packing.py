import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from accelsim.tracing import packing
from accelsim.tracing.packing import pack, pack_on_device

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int32]


def _sparse(shape, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.5)).to(dtype)


@given(
    shape=st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple),
    order=st.permutations(range(4)),
    dtype=st.sampled_from(DTYPES),
    chunk=st.sampled_from([8, 16, 64]),
    seed=st.integers(0, 100),
)
def test_any_shape_order_and_type(shape, order, dtype, chunk, seed):
    x = _sparse(shape, seed, dtype).permute([axis for axis in order if axis < len(shape)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "CHUNK", chunk)
        mask = pack(x)
    assert mask.shape == tuple(x.shape)
    assert np.array_equal(mask.to_array(), (x != 0).numpy())


def test_expanded_and_sliced_views():
    x = _sparse((6, 10), 0)
    for view in (x[:, 1:], x.t(), x[:1].expand(4, 10), x[::2]):
        assert np.array_equal(pack(view).to_array(), (view != 0).numpy())


@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_threshold_is_not_rounded_to_a_narrow_type(dtype):
    x = torch.tensor([1.0, -1.0, 1.0078125, 0.0, -3.0, math.nan, math.inf]).to(dtype)
    assert pack(x, 1.001).to_array().tolist() == [False, False, True, False, True, True, True]
    assert pack(x, 1.0).to_array().tolist() == [False, False, True, False, True, True, True]


def test_not_a_number_is_not_zero():
    assert pack(torch.tensor([math.nan, -0.0, 1e-45])).to_array().tolist() == [True, False, True]
    assert pack_on_device(torch.tensor([math.nan, -0.0, 1e-45])).tolist() == [0b101]


@given(
    size=st.integers(0, 50),
    seed=st.integers(0, 100),
    threshold=st.sampled_from([0.0, 0.5]),
    dtype=st.sampled_from(DTYPES),
)
def test_packing_on_a_device_is_the_same(size, seed, threshold, dtype):
    x = _sparse((size,), seed, dtype)
    assert np.array_equal(pack_on_device(x, threshold).numpy(), pack(x, threshold).bits)


class _LargestResult(TorchDispatchMode):
    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not function._schema.returns[0].alias_info:
            self.largest = max(self.largest, result.numel() * result.element_size())
        return result


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_no_temporary_of_a_tensors_size(layout, threshold):
    x = torch.randn(64, 16, 64, 64).to(memory_format=layout)  # 4 Mi elements, 16 MiB
    tracemalloc.start()
    mask = pack(x, threshold)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask.bits.nbytes <= peak < mask.bits.nbytes + 8 * 2 * packing.CHUNK  # and the booleans of one piece
    with _LargestResult() as mode:
        pack(x, threshold)
    assert mode.largest <= 4 * 2 * packing.CHUNK  # float32 copies of eight samples
