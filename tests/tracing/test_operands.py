"""Every kind of operation: recorded masks against tensors that ordinary hooks see."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from accelsim.errors import AccelsimWarning
from accelsim.lowering import lower
from tests.tracing.loops import meta, record, watched


class Sparse(nn.Module):
    """Zeros in inputs and gradients: a dropout that is not recognised as ReLU on either side of a layer."""

    def __init__(self, layer, shape):
        super().__init__()
        self.layer, self.shape = layer, shape
        with torch.no_grad():
            layer.weight *= torch.rand_like(layer.weight) < 0.6

    def forward(self, x):
        return self.layer(x)


def _run(layer, shape, path, **options):
    """One training step on sparse data; the gradient at the output is sparse, too."""
    model = Sparse(layer, shape)
    x = (torch.randn(shape) * (torch.rand(shape) < 0.6)).requires_grad_()

    def body(_):
        y = model(x)
        (y * torch.randn_like(y) * (torch.rand_like(y) < 0.6)).sum().backward()

    with watched(("", model)) as seen:
        ops = record(model, path, body, **options)
    assert len(ops) == len(seen) == 1
    return ops[0], seen[0]


def _assert_matches(op, seen):
    for ours, theirs in ((op.weight, seen.weight), (op.input, seen.input), (op.grad_output, seen.grad_output)):
        assert np.array_equal(ours.reshape(theirs.shape), (theirs != 0).numpy())


@st.composite
def convolutions(draw):
    transposed = draw(st.booleans())
    dims = draw(st.sampled_from([1, 2]))
    groups = draw(st.integers(1, 3))
    pair = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))  # noqa: E731
    kernel, stride, dilation, padding = pair(1, 4), pair(1, 3), pair(1, 2), pair(0, 2)
    options = {"stride": stride, "dilation": dilation, "groups": groups, "bias": draw(st.booleans())}
    if transposed:
        options["output_padding"] = tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        )
    channels = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    image = tuple(d * (k - 1) + 1 + draw(st.integers(0, 5)) for d, k in zip(dilation, kernel, strict=True))
    kind = {(False, 1): nn.Conv1d, (False, 2): nn.Conv2d, (True, 1): nn.ConvTranspose1d, (True, 2): nn.ConvTranspose2d}
    padding = tuple(min(p, i) for p, i in zip(padding, image, strict=True))
    if transposed:
        padding = tuple(min(p, (d * (k - 1)) // 2) for p, d, k in zip(padding, dilation, kernel, strict=True))
    layer = kind[transposed, dims](*channels, kernel, padding=padding, **options)
    return layer, (draw(st.integers(1, 3)), channels[0], *image)


@settings(max_examples=80, deadline=None)
@given(case=convolutions())
def test_any_convolution(case, tmp_path_factory):
    layer, shape = case
    op, seen = _run(layer, shape, tmp_path_factory.mktemp("trace") / "t.pkl")
    _assert_matches(op, seen)
    extents = lambda pair: pair if len(pair) == 2 else (pair[0] * 0 + 1, pair[0])  # noqa: E731
    assert op.kind == ("conv_transpose" if layer.transposed else "conv")
    assert (op.groups, op.stride, op.dilation) == (layer.groups, extents(layer.stride), extents(layer.dilation))
    assert op.padding[-len(layer.padding) :] == layer.padding
    assert op.needs_input_grad
    assert op.needs_weight_grad
    assert op.input_grad_needed is None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 3, "padding": "valid"},
        {"kernel_size": 3, "groups": 4},
        {"kernel_size": 3, "padding": 1, "dtype": torch.bfloat16},
    ],
)
def test_conv2d_options(options, layout, tmp_path):
    layer = nn.Conv2d(4, 8, **options)
    model = Sparse(layer, None)
    x = (torch.randn(2, 4, 7, 8) * (torch.rand(2, 4, 7, 8) < 0.5)).to(layer.weight.dtype).to(memory_format=layout)
    with watched(("", model)) as seen:
        (op,) = record(model, tmp_path / "t.pkl", lambda _: model(x).square().sum().backward())
    _assert_matches(op, seen[0])
    assert (op.name, op.dtype) == ("layer", str(layer.weight.dtype).removeprefix("torch."))
    assert not op.needs_input_grad
    assert op.needs_weight_grad


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("options", "image", "padding"),
    [
        ({"padding": 1, "padding_mode": "circular"}, (9, 10), (0, 0)),
        ({"padding": 1, "padding_mode": "reflect"}, (9, 10), (0, 0)),
    ],
)
def test_padding_that_pytorch_makes_explicit(options, image, padding, tmp_path):
    layer = nn.Conv2d(2, 3, 4, **options)
    x = torch.randn(2, 2, 7, 8)
    (op,) = record(layer, tmp_path / "t.pkl", lambda _: layer(x).sum().backward())
    assert (op.input.shape[2:], op.padding) == (image, padding)
    assert op.output_shape[2:] == layer(x).shape[2:]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("pad", "kernel", "padding", "recorded"),
    [
        (None, 4, "same", (1, 1, 2, 2)),
        (None, (1, 2), "same", (0, 0, 0, 1)),
        ((1, 0, 2, 1), 3, 0, (2, 1, 1, 0)),
        ((1, 1, 2, 2), 3, 1, (3, 2)),
        ((-1, 1, 0, 2), 3, 0, (0, 0, 2, 1)),  # the first column is cut off
    ],
)
def test_zeros_put_around_an_image_are_padding(pad, kernel, padding, recorded, layout, tmp_path):
    layer = nn.Conv2d(2, 3, kernel, padding=padding)
    x = torch.randn(2, 2, 7, 8).relu().to(memory_format=layout).requires_grad_()
    image = x[..., 1:] if pad and pad[0] < 0 else x

    output = lambda: layer(x if pad is None else functional.pad(x, pad))  # noqa: E731
    (op,) = record(layer, tmp_path / "t.pkl", lambda _: output().square().sum().backward())
    assert op.padding == recorded
    assert op.output_shape == output().shape
    assert np.array_equal(op.input, image.detach().numpy() != 0)
    assert op.needs_input_grad
    (gemm,) = lower(op, "input_grad")
    taps = op.weight.shape[2] * op.weight.shape[3]
    assert gemm.macs == image.numel() * 3 * taps  # no gradient of the zeros is computed


def test_padding_of_a_sequence(tmp_path):
    """A causal 1-D convolution."""
    layer, x = nn.Conv1d(2, 3, 4, dilation=2), torch.randn(2, 2, 9).requires_grad_()
    (op,) = record(layer, tmp_path / "t.pkl", lambda _: layer(functional.pad(x, (6, 0))).sum().backward())
    assert (op.input.shape, op.padding, op.output_shape) == ((2, 2, 1, 9), (0, 6, 0, 0), (2, 3, 1, 9))


@pytest.mark.parametrize(
    "prepare",
    [
        lambda x: functional.pad(x, (1, 1, 1, 1), value=1.0),
        lambda x: functional.pad(x, (1, 1, 1, 1)).add_(1.0),
        lambda x: functional.pad(x, (1, 0, 0, 0)).transpose(2, 3),
        lambda x: functional.pad(x, (0, 0, 0, 0, 1, 1))[:, 1:3],
        lambda x: functional.pad(x, (1, 1, 1, 1))[..., :7],
    ],
)
def test_what_is_no_padding_any_more(prepare, tmp_path):
    layer, x = nn.Conv2d(2, 3, 3), torch.randn(2, 2, 7, 6)
    image = prepare(x)
    (op,) = record(layer, tmp_path / "t.pkl", lambda _: layer(prepare(x)).sum().backward())
    assert op.padding == (0, 0)
    assert np.array_equal(op.input, image.numpy() != 0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6, 5), (5, 5), (3, 4, 5), (2, 3, 4, 5), (1, 5), (5,)])
@pytest.mark.parametrize("features", [5, 7])
def test_linear_of_any_leading_shape(bias, shape, features, tmp_path):
    op, seen = _run(nn.Linear(5, features, bias=bias), shape, tmp_path / "t.pkl")
    _assert_matches(op, seen)
    assert op.kind == "conv"
    assert op.needs_input_grad
    assert op.needs_weight_grad


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("wanted", ["both", "input only"])
def test_square_products_of_a_transposed_input(size, trained, wanted, tmp_path):
    """Every operand has the same shape: only the saved operand and the order tell them apart."""
    layer = nn.Linear(size, size, bias=False)
    layer.weight.requires_grad_(trained)
    model = Sparse(layer, None)
    for transpose in (False, True):
        x = (torch.randn(size, size) * (torch.rand(size, size) < 0.5)).requires_grad_()
        factor = torch.randn(size, size) * (torch.rand(size, size) < 0.5)

        def body(_, x=x, factor=factor, transpose=transpose):
            loss = (model(x.t() if transpose else x) * factor).sum()
            if wanted == "both":
                loss.backward()
            else:
                torch.autograd.grad(loss, x)

        with watched(("", model)) as seen:
            (op,) = record(model, tmp_path / f"{transpose}.pkl", body)
        _assert_matches(op, seen[0])
        assert np.array_equal(op.grad_output.reshape(size, size), (factor != 0).numpy())
        assert (op.needs_input_grad, op.needs_weight_grad) == (True, trained and wanted == "both")


def test_weight_gradient_alone_of_a_square_product(tmp_path):
    layer = nn.Linear(4, 4, bias=False)
    x = torch.randn(4, 4, requires_grad=True)
    factor = torch.eye(4)
    (op,) = record(layer, tmp_path / "t.pkl", lambda _: torch.autograd.grad((layer(x) * factor).sum(), layer.weight))
    assert np.array_equal(op.grad_output.reshape(4, 4), (factor != 0).numpy())
    assert (op.needs_input_grad, op.needs_weight_grad) == (False, True)


class Products(nn.Module):
    def __init__(self, function, parameter=None):
        super().__init__()
        self.function = function
        self.w = nn.Parameter(parameter) if parameter is not None else None

    def forward(self, *inputs):
        return self.function(self, *inputs)


def _sparse(*shape):
    return torch.randn(shape) * (torch.rand(shape) < 0.5)


@pytest.mark.parametrize("square", [True, False])
def test_weight_on_the_left(square, tmp_path):
    n = 4 if square else 6
    model = Products(lambda self, x: self.w @ x, _sparse(4, 4) if square else _sparse(5, 4))
    x, factor = _sparse(4, n).requires_grad_(), _sparse(model.w.shape[0], n)
    (op,) = record(model, tmp_path / "t.pkl", lambda _: (model(x) * factor).sum().backward())
    assert op.name == "w"
    assert op.kind == "conv"
    assert np.array_equal(op.weight[:, :, 0, 0], (model.w != 0).numpy())
    assert np.array_equal(op.input[:, :, 0, 0], (x.t() != 0).numpy())
    assert np.array_equal(op.grad_output[:, :, 0, 0], (factor.t() != 0).numpy())
    assert op.needs_input_grad
    assert op.needs_weight_grad


class _Times(nn.Module):
    """Owns no weight."""

    def forward(self, a, b):
        return a @ b


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_parameter_of_another_module_is_a_weight(left, batch, tmp_path):
    model = nn.ModuleDict({"times": _Times(), "owner": nn.Linear(4, 5)})
    model.owner.weight.data *= torch.rand(5, 4) < 0.5
    weight, x = model.owner.weight, _sparse(*batch, 4, 6) if left else _sparse(*batch, 6, 5)
    (op,) = record(
        model,
        tmp_path / "t.pkl",
        lambda _: (model.times(weight, x) if left else model.times(x, weight)).sum().backward(),
    )
    assert (op.name, op.kind) == ("times", "conv")
    assert np.array_equal(op.weight[:, :, 0, 0], ((weight if left else weight.t()) != 0).numpy())


def test_a_weight_computed_from_a_modules_own_parameters_goes_before_anothers(tmp_path):
    """As in a graph network whose first layer gets the table of embeddings itself."""
    model = Products(lambda self, table: table @ functional.normalize(self.w), _sparse(4, 5))
    table = nn.Parameter(_sparse(7, 4))
    (op,) = record(model, tmp_path / "t.pkl", lambda _: model(table).sum().backward())
    assert op.kind == "conv"
    assert np.array_equal(op.weight[:, :, 0, 0], (model.w.t() != 0).numpy())
    assert np.array_equal(op.input[:, :, 0, 0], (table != 0).numpy())


def _grouped(op):
    """Undo the layout of a batch of products: (A, B, gradient) with a leading batch dimension."""
    b = op.groups
    m = op.input.shape[0]
    a = op.input.reshape(m, b, -1).swapaxes(0, 1)
    second = op.weight.reshape(b, -1, a.shape[2]).swapaxes(1, 2)
    gradient = None if op.grad_output is None else op.grad_output.reshape(m, b, -1).swapaxes(0, 1)
    return a, second, gradient


@pytest.mark.parametrize("shapes", [((3, 4, 5), (3, 5, 6)), ((3, 4, 4), (3, 4, 4)), ((4, 5), (5, 6)), ((4, 4), (4, 4))])
@pytest.mark.parametrize("added", [False, True])
def test_products_of_activations(shapes, added, tmp_path):
    def forward(_, a, b):
        if not added:
            return a @ b
        return torch.baddbmm(c, a, b, alpha=0.5) if a.dim() == 3 else torch.addmm(c, a, b, alpha=0.5)

    model = Products(forward)
    a, b = _sparse(*shapes[0]).requires_grad_(), _sparse(*shapes[1]).requires_grad_()
    factor = _sparse(*shapes[0][:-1], shapes[1][-1])
    c = torch.randn_like(factor)
    (op,) = record(model, tmp_path / "t.pkl", lambda _: (model(a, b) * factor).sum().backward())
    assert op.kind == "matmul"
    for ours, theirs in zip(_grouped(op), (a, b, factor), strict=True):
        assert np.array_equal(ours.reshape(theirs.shape), (theirs != 0).numpy())
    assert op.needs_input_grad
    assert op.needs_weight_grad


def test_operands_that_share_a_storage(tmp_path):
    model = Products(lambda _, x: x @ x.mT)
    x, factor = _sparse(3, 4, 4).requires_grad_(), _sparse(3, 4, 4)
    (op,) = record(model, tmp_path / "t.pkl", lambda _: (model(x) * factor).sum().backward())
    for ours, theirs in zip(_grouped(op), (x, x.mT, factor), strict=True):
        assert np.array_equal(ours, (theirs != 0).numpy())


@pytest.mark.parametrize("autocast", [False, True])
def test_attention_with_visible_products(autocast, tmp_path):
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(3, 5, 8, requires_grad=True)

    def body(_):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = attention(x, x, x, need_weights=True)[0]
        y.sum().backward()

    ops = record(attention, tmp_path / "t.pkl", body)
    assert [(op.name, op.kind) for op in ops] == [
        ("in_proj_weight", "conv"),
        ("MultiheadAttention.matmul1", "matmul"),
        ("MultiheadAttention.matmul2", "matmul"),
        ("out_proj", "conv"),
    ]
    assert all(op.needs_input_grad and op.needs_weight_grad for op in ops)
    assert [op.macs for op in ops] == [15 * 8 * 24, 6 * 25 * 4, 6 * 25 * 4, 15 * 8 * 8]


def test_inference_mode_hides_nothing(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    x = torch.randn(2, 3, 6, 6)

    def body(_):
        with torch.inference_mode():
            model(x)

    ops = record(model, tmp_path / "t.pkl", body)
    assert [(op.name, op.grad_output) for op in ops] == [("0", None), ("3", None)]


class Attention(nn.Module):
    def forward(self, x):
        return functional.scaled_dot_product_attention(x, x, x)


@pytest.mark.parametrize(
    ("model", "shape", "named", "macs"),
    [
        (Attention(), (2, 3, 5, 4), "_scaled_dot_product", 2 * 3 * 25 * 8),
        (nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), "aten.convolution ", 27 * 3 * 2 * 8),
        (nn.LSTM(4, 6), (3, 2, 4), "rnn|lstm", 3 * 2 * 24 * 10),
    ],
)
def test_what_cannot_be_lowered_is_counted(model, shape, named, macs, tmp_path):
    x = torch.randn(shape, requires_grad=True)

    def body(_):
        y = model(x)
        (y[0] if isinstance(y, tuple) else y).sum().backward()

    with pytest.warns(AccelsimWarning, match=named):
        ops = record(model, tmp_path / "t.pkl", body)
    assert ops == []
    unlowered = meta(tmp_path / "t.pkl")["unlowered"]
    forward = next(entry for key, entry in unlowered.items() if "backward" not in key)
    assert (forward["count"], forward["macs"]) == (1, macs)
    backward = next(entry for key, entry in unlowered.items() if "backward" in key)
    assert backward["macs"] >= 2 * macs


def test_a_matrix_times_a_vector_is_counted(tmp_path):
    model = Products(lambda self, x: self.w @ x, torch.ones(3, 4))
    with pytest.warns(AccelsimWarning, match="aten.mv × 1.*100.00% of MACs"):
        assert record(model, tmp_path / "t.pkl", lambda _: model(torch.randn(4))) == []
    (entry,) = meta(tmp_path / "t.pkl")["unlowered"].values()
    assert entry["macs"] == 12


def test_bilinear_macs(tmp_path):
    model = nn.Bilinear(3, 4, 5)
    with pytest.warns(AccelsimWarning, match="_trilinear"):
        record(model, tmp_path / "t.pkl", lambda _: model(torch.randn(2, 3), torch.randn(2, 4)))
    (entry,) = meta(tmp_path / "t.pkl")["unlowered"].values()
    assert entry["macs"] == 2 * 3 * 4 * 5


def test_operators_from_elsewhere_are_counted(tmp_path):
    @torch.library.custom_op("accelsim_test::product", mutates_args=())
    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b

    model = Products(lambda _, a, b: product(a, b))
    with pytest.warns(AccelsimWarning, match="accelsim_test.product × 1.*MACs unknown"):
        record(model, tmp_path / "t.pkl", lambda _: model(torch.ones(2, 2), torch.ones(2, 2)))
    (entry,) = meta(tmp_path / "t.pkl")["unlowered"].values()
    assert entry["macs"] is None


MASK = torch.arange(90).view(3, 5, 6) % 3 > 0
OF_WEIGHTS = {
    "as they are": lambda w: w,
    "a part": lambda w: w[:, 1:],
    "copied": lambda w: w.mT.contiguous().mT,
    "permuted": lambda w: w.permute(2, 0, 1).reshape(6, 15).t().view(3, 5, 6),
    "masked": lambda w: w * MASK,
    "masked from the left": lambda w: MASK.float() * w,
    "chosen": lambda w: w[torch.tensor([2, 0])],
    "selected": lambda w: w.index_select(0, torch.tensor([2, 0])),
    "stacked": lambda w: torch.stack([w[0], w[2]]),
    "cast": lambda w: w.double(),
}
BY_EXPERT = {
    "bmm": torch.bmm,
    "matmul": torch.matmul,
    "einsum": lambda x, w: torch.einsum("emk,ekn->emn", x, w),
    "baddbmm": lambda x, w: torch.baddbmm(w.new_zeros(()), x, w),
    "weight on the left": lambda x, w: w.mT.bmm(x.mT).mT,
}


@pytest.mark.parametrize("product", BY_EXPERT)
@pytest.mark.parametrize("case", OF_WEIGHTS)
def test_weights_of_experts(case, product, tmp_path):
    """A batch of weights makes a group per expert, and its zeros are weights', not activations'."""
    model = Products(lambda self, x: BY_EXPERT[product](x, OF_WEIGHTS[case](self.w)), _sparse(3, 5, 6))
    weight = OF_WEIGHTS[case](model.w).detach()
    experts, inputs, outputs = weight.shape
    x = _sparse(experts, 4, inputs).to(weight.dtype).requires_grad_()
    factor = _sparse(experts, 4, outputs)
    (op,) = record(model, tmp_path / "t.pkl", lambda _: (model(x) * factor).sum().backward(), zero_as={"weight": 0.5})
    name = "Products" if case.startswith("masked") else "w"  # a layer that masks a weight gives its own name
    assert (op.name, op.kind, op.groups) == (name, "conv", experts)
    expected = (x != 0, weight.abs() > 0.5, factor != 0)
    for ours, theirs in zip(_grouped(op), expected, strict=True):
        assert np.array_equal(ours, theirs.numpy())
    assert op.needs_input_grad
    assert op.needs_weight_grad
