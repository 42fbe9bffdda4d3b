"""Gradients of products whose operands all have one shape: roles follow from autograd's graph, shapes tell nothing."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from accelsim.errors import AccelsimWarning
from accelsim.tracing.products import Product
from tests.tracing.loops import meta, record

N = 4
MATRIX, BATCH = (N, N), (N, N, N)


def _sparse(*shape):
    return torch.randn(shape) * (torch.rand(shape) < 0.5)


class Calls(nn.Module):
    """Runs a function of a parameter, an input and a second input, as it is or checkpointed."""

    def __init__(self, function, weight, how):
        super().__init__()
        self.function, self.how = function, how
        self.weight = nn.Parameter(weight)

    def forward(self, x, z):
        if self.how == "plain":
            return self.function(self.weight, x, z)
        return checkpoint(self.function, self.weight, x, z, use_reentrant=self.how == "reentrant")


PRODUCTS = {
    "mm": (MATRIX, lambda w, x, z: x.mm(w)),
    "mm, weight on the left": (MATRIX, lambda w, x, z: w.mm(x)),
    "mm, transposed weight": (MATRIX, lambda w, x, z: x.mm(w.t())),
    "mm, transposed input": (MATRIX, lambda w, x, z: x.t().mm(w)),
    "mm, both transposed": (MATRIX, lambda w, x, z: x.t().mm(w.t())),
    "mm of activations": (MATRIX, lambda w, x, z: x.mm(z)),
    "mm with itself": (MATRIX, lambda w, x, z: x.mm(x)),
    "mm, Gram matrix of rows": (MATRIX, lambda w, x, z: x.mm(x.t())),
    "mm, Gram matrix of columns": (MATRIX, lambda w, x, z: x.t().mm(x)),
    "mm, Gram matrix of a weight": (MATRIX, lambda w, x, z: w.mm(w.t())),
    "addmm": (MATRIX, lambda w, x, z: torch.addmm(z, x, w)),
    "addmm, both transposed": (MATRIX, lambda w, x, z: torch.addmm(z, x.t(), w.t(), alpha=0.5, beta=2)),
    "addmm, Gram matrix": (MATRIX, lambda w, x, z: torch.addmm(w, x, x.t())),
    "addmm in place": (MATRIX, lambda w, x, z: (z * 1).addmm_(x, w)),
    "linear": (MATRIX, lambda w, x, z: linear(x, w)),
    "linear with a bias": (MATRIX, lambda w, x, z: linear(x, w, z[0])),
    "linear of a transposed input": (MATRIX, lambda w, x, z: linear(x.t(), w)),
    "linear of 3-D input": ((2, 2, N), lambda w, x, z: linear(x, w)),
    "linear of 3-D input with a bias": ((2, 2, N), lambda w, x, z: linear(x, w, z[0, 0])),
    "matmul folds": ((2, 2, N), lambda w, x, z: x @ w),
    "einsum": (MATRIX, lambda w, x, z: torch.einsum("bi,io->bo", x, w)),
    "bmm": (BATCH, lambda w, x, z: x.bmm(z)),
    "bmm, first transposed": (BATCH, lambda w, x, z: x.mT.bmm(z)),
    "bmm, second transposed": (BATCH, lambda w, x, z: x.bmm(z.mT)),
    "bmm, Gram matrices": (BATCH, lambda w, x, z: x.bmm(x.mT)),
    "baddbmm": (BATCH, torch.baddbmm),
    "baddbmm, both transposed": (BATCH, lambda w, x, z: torch.baddbmm(w, x.mT, z.mT, alpha=0.5)),
}


def _product(op, shape):
    """A record's output gradient in the order of the product's result."""
    if len(shape) == 3 and op.groups > 1:
        return op.grad_output.reshape(N, op.groups, N).swapaxes(0, 1)
    return op.grad_output.reshape(shape)


@pytest.mark.parametrize("how", ["plain", "checkpointed"])
@pytest.mark.parametrize("case", PRODUCTS)
def test_gradients_of_square_products(case, how, tmp_path):
    shape, function = PRODUCTS[case]
    torch.manual_seed(0)
    model = Calls(lambda *operands: function(*operands) * 1, _sparse(*MATRIX), how)
    x, z = _sparse(*shape).requires_grad_(), _sparse(*shape).requires_grad_()
    factor = _sparse(*shape)

    def body(_):
        (model(x, z) * factor).sum().backward()

    (op,) = record(model, tmp_path / "t.pkl", body)
    expected = (factor != 0).numpy()
    left = case in ("mm, weight on the left",)
    assert np.array_equal(_product(op, shape), expected.T if left else expected)
    assert op.needs_input_grad
    assert op.needs_weight_grad
    assert meta(tmp_path / "t.pkl")["unlowered"] == {}


@pytest.mark.parametrize("wanted", ["weight", "input"])
@pytest.mark.parametrize("case", ["mm", "mm, both transposed", "addmm", "linear", "linear of a transposed input"])
@pytest.mark.parametrize("how", ["grad", "inputs", "frozen"])
def test_one_gradient_of_a_square_product(case, wanted, how, tmp_path):
    shape, function = PRODUCTS[case]
    model = Calls(function, _sparse(*MATRIX), "plain")
    x, z, factor = _sparse(*shape).requires_grad_(), _sparse(*shape), _sparse(*shape)
    one, other = (model.weight, x) if wanted == "weight" else (x, model.weight)
    other.requires_grad_(how != "frozen")

    def body(_):
        loss = (model(x, z) * factor).sum()
        if how == "grad":
            torch.autograd.grad(loss, one)
        else:
            loss.backward(inputs=[one] if how == "inputs" else None)

    (op,) = record(model, tmp_path / "t.pkl", body)
    assert np.array_equal(_product(op, shape), (factor != 0).numpy())
    assert (op.needs_input_grad, op.needs_weight_grad) == (wanted == "input", wanted == "weight")


def test_a_linear_layer_run_again_by_checkpointing(tmp_path):
    """Operands that are saved are other tensors then, at other addresses."""
    layer = nn.Linear(N, N, bias=False)
    model = nn.Sequential(nn.Linear(N, N, bias=False), nn.Tanh(), layer, nn.Tanh())
    x, factor = _sparse(N, N).requires_grad_(), _sparse(N, N)
    gradients = []

    def watch(_, __, y):
        y.register_hook(lambda gradient: gradients.append((gradient != 0).numpy()))

    for module in (model[0], layer):
        module.register_forward_hook(watch)

    def body(_):
        (checkpoint(lambda x: model(x.relu()), x, use_reentrant=False) * factor).sum().backward()

    ops = record(model, tmp_path / "t.pkl", body)
    second, first = gradients
    forward = [op for op in ops if not op.recomputed]
    assert [op.name for op in forward] == ["0", "2"]
    for op, gradient in zip(forward, (first, second), strict=True):
        assert np.array_equal(op.grad_output.reshape(N, N), gradient)
    assert not second.all()


def test_a_function_run_again_is_no_gradient(tmp_path):
    """Its products run inside the node that asked for what was saved, where no module runs."""

    def function(w, x, z):
        return (torch.sin(x @ w) @ z).sin() * 1

    model = Calls(function, _sparse(*MATRIX), "checkpointed")
    x, z, factor = _sparse(N, N).requires_grad_(), _sparse(N, N).requires_grad_(), torch.eye(N)
    with pytest.warns(AccelsimWarning, match="aten.mm × 2, outside any module"):
        ops = record(model, tmp_path / "t.pkl", lambda _: (model(x, z) * factor).sum().backward())
    assert np.array_equal(ops[1].grad_output.reshape(N, N), np.eye(N, dtype=bool))
    assert all(op.needs_input_grad and op.needs_weight_grad for op in ops)


def test_a_graph_of_gradients_changes_no_role(tmp_path):
    """The same nodes with create_graph, where gradients require gradients themselves."""
    layer = nn.Linear(N, N, bias=False)
    x, factor = _sparse(N, N).requires_grad_(), _sparse(N, N)

    def body(_):
        torch.autograd.grad((layer(x) * factor).sum(), (x, layer.weight), create_graph=True)

    (op,) = record(layer, tmp_path / "t.pkl", body)
    assert np.array_equal(op.grad_output.reshape(N, N), (factor != 0).numpy())


@pytest.mark.parametrize(
    ("operator", "shapes", "position"),
    [
        (torch.ops.aten.mm.default, ((2, 3), (3, 5)), 0),
        (torch.ops.aten.addmm.default, ((2, 5), (2, 3), (3, 5)), 1),
        (torch.ops.aten.bmm.default, ((7, 2, 3), (7, 3, 5)), 0),
        (torch.ops.aten.baddbmm.default, ((7, 2, 5), (7, 2, 3), (7, 3, 5)), 1),
    ],
)
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
def test_the_order_in_which_this_pytorch_runs_gradients(operator, shapes, position, transposed):
    """Shapes that differ show it; should a PyTorch run them in another order, this fails."""
    operands = [torch.randn(shape, requires_grad=True) for shape in shapes]
    for place, columns in enumerate(transposed, position):
        if columns:
            operands[place] = operands[place].detach().mT.contiguous().mT.requires_grad_()
    product = Product.of(operator, *operands[position : position + 2], position)
    factor = torch.randn(operator(*operands).shape)
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            node = torch._C._current_autograd_node()
            if function in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default) and node is not None:
                expected = product.wanted(node)
                assert expected == list(product.order)
                gradient = product.gradient_in(args, args, expected[len(seen)])
                assert product.gradient_in(args, args, expected[1 - len(seen)]) is None
                assert torch.equal(gradient, factor)
                seen.append(expected[len(seen)])
            return function(*args, **(kwargs or {}))

    y = operator(*operands)
    with Watch():
        y.backward(factor)
    assert seen == list(product.order)


def test_a_function_that_reentrant_checkpointing_runs_again_is_named(tmp_path):
    """Its first run builds no graph, its second one is in no module."""
    model = Calls(lambda w, x, z: x @ w, _sparse(*MATRIX), "reentrant")
    x, z = _sparse(N, N).requires_grad_(), _sparse(N, N)
    with pytest.warns(AccelsimWarning, match="aten.mm × 2, backward of.* aten.mm × 1, outside any module"):
        (op,) = record(model, tmp_path / "t.pkl", lambda _: model(x, z).sum().backward())
    assert op.grad_output is None
