"""What an operation is to a recorder, which may depend on what it is called with."""

import pytest
import torch

from accelsim.tracing.composites import Composites
from accelsim.tracing.roles import Roles

aten = torch.ops.aten
ROLES = {
    "convolution": aten.convolution.default,
    "convolution_backward": aten.convolution_backward.default,
    "product": aten.bmm.default,
    "added_product": aten.addmm.default,
    "unlowered": aten._cdist_forward.default,
    "other": aten.add.Tensor,
}


@pytest.mark.parametrize("role", ROLES)
def test_plain_operations(role):
    assert Roles(Composites()).of(ROLES[role], [torch.ones(2, 2)], {}) == role


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_runs_as_several_operations_for_some_tensors_alone():
    roles, weight = Roles(Composites()), torch.ones(3, 2)
    nested = torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(1, 2)])
    assert roles.of(aten.linear.default, [torch.ones(4, 2), weight], {}) == "composite"
    assert roles.of(aten.linear.default, [nested, weight], {}) == "unlowered"  # it has a kernel of its own
    assert roles.of(aten.reshape.default, [nested, [2, -1, 2]], {}) == "other"
    assert roles.of(aten.linear.default, [torch.ones(4, 2), weight], {}) == "composite"
