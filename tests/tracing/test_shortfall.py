"""What a trace lacks is said when the tracer closes: what is missing, what share that is, why the trace is empty."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from accelsim.errors import AccelsimWarning
from accelsim.live import live
from accelsim.tracing import Tracer
from tests.tracing.loops import meta, record


class Runs(nn.Module):
    """Runs a function of its weight and its inputs."""

    def __init__(self, function, *shape):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(shape)) if shape else None

    def forward(self, *inputs):
        return self.function(*([] if self.weight is None else [self.weight]), *inputs)


def _macs(path):
    return {key.split(" ")[0]: entry["macs"] for key, entry in meta(path)["unlowered"].items()}


@torch.library.custom_op("accelsim_shortfall::product", mutates_args=())
def _unknown(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b


def test_an_unknown_share_is_said_to_be_unknown(tmp_path):
    model = Runs(lambda a: _unknown(a, a))

    def body(_):
        model(torch.ones(4, 4))
        torch.ones(4, 4) @ torch.ones(4, 4)

    with pytest.warns(AccelsimWarning) as warned:
        record(model, tmp_path / "t.pkl", body)
    text = str(warned[0].message)
    assert "accelsim_shortfall.product × 1, no lowering to a convolution or matrix product, MACs unknown" in text
    assert "aten.mm × 1, outside any module, 100.00% of the MACs that are known" in text
    assert "how much of the training's MACs is missing is unknown" in text


def test_known_shares_are_of_all_macs(tmp_path):
    model = nn.Linear(4, 4)
    x = torch.ones(4, 4)
    with pytest.warns(AccelsimWarning) as warned:
        record(model, tmp_path / "t.pkl", lambda _: (model(x).sum().backward(), x @ x))
    assert str(warned[0].message).endswith("aten.mm × 1, outside any module, 33.33% of MACs")


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("norm", [2, 1])
def test_distances_are_counted(size, norm, tmp_path):
    """`torch.cdist` is a fused kernel, or one that multiplies inside (from 26 points on)."""
    model = Runs(lambda w, x: torch.cdist(x, w, p=norm), size, 6)
    x = torch.randn(size, 6, requires_grad=True)

    def body(_):
        nn.functional.linear(x, model.weight)
        model(x).sum().backward()

    with pytest.warns(AccelsimWarning):
        record(model, tmp_path / "t.pkl", body)
    macs = _macs(tmp_path / "t.pkl")
    pairs = size * size
    if norm == 1:
        assert macs == {"aten.mm": pairs * 6}
    elif size == 3:
        assert macs == {"aten.mm": pairs * 6, "aten._cdist_forward": pairs * 6, "aten._cdist_backward": 2 * pairs * 6}
    else:
        assert macs["aten._euclidean_dist"] == pairs * 8


def test_pairwise_distances_are_counted(tmp_path):
    model = Runs(torch.pdist)
    with pytest.warns(AccelsimWarning, match="_pdist_forward"):
        record(model, tmp_path / "t.pkl", lambda _: model(torch.randn(4, 5, requires_grad=True)).sum().backward())
    assert _macs(tmp_path / "t.pkl") == {"aten._pdist_forward": 6 * 5, "aten._pdist_backward": 6 * 5}


def test_experts_of_a_grouped_product_have_macs(tmp_path):
    model = Runs(lambda w, x: torch._grouped_mm(x, w, offs=torch.tensor([3, 8], dtype=torch.int32)), 2, 16, 24)
    model.bfloat16()
    x = torch.randn(8, 16, dtype=torch.bfloat16)

    with pytest.warns(AccelsimWarning, match="_grouped_mm"):
        record(model, tmp_path / "t.pkl", lambda _: model(x).square().sum().backward())
    entries = meta(tmp_path / "t.pkl")["unlowered"].items()
    assert sorted(entry["macs"] for _, entry in entries) == [8 * 16 * 24, 8 * 16 * 24]


def test_operations_in_place_have_macs(tmp_path):
    model = nn.Linear(3, 3)

    def body(_):
        model(torch.ones(2, 3)).sum().backward()
        torch.zeros(2, 4).addmm_(torch.ones(2, 3), torch.ones(3, 4))
        torch.zeros(5, 2, 4).baddbmm_(torch.ones(5, 2, 3), torch.ones(5, 3, 4))

    with pytest.warns(AccelsimWarning, match="aten.baddbmm_"):
        record(model, tmp_path / "t.pkl", body)
    assert _macs(tmp_path / "t.pkl") == {"aten.addmm_": 24, "aten.baddbmm_": 120}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantised_layers_are_counted(tmp_path):
    """Their weights are packed into an object, so only one argument is a tensor."""
    torch.backends.quantized.engine = next(e for e in torch.backends.quantized.supported_engines if e != "none")
    packed = torch.ops.quantized.linear_prepack(torch.quantize_per_tensor(torch.randn(3, 4), 0.1, 0, torch.qint8), None)
    model = Runs(lambda x: torch.ops.quantized.linear(x, packed, 0.1, 0))
    x = torch.quantize_per_tensor(torch.randn(2, 4), 0.1, 0, torch.quint8)
    with pytest.warns(AccelsimWarning, match="quantized.linear × 1.*MACs unknown"):
        record(model, tmp_path / "t.pkl", lambda _: model(x))


def test_attention_and_its_cure(tmp_path):
    model = Runs(lambda x: scaled_dot_product_attention(x, x, x))
    x = torch.randn(2, 3, 5, 4, requires_grad=True)
    with pytest.warns(AccelsimWarning, match=r"sdpa_kernel\(torch.nn.attention.SDPBackend.MATH\)"):
        record(model, tmp_path / "fused.pkl", lambda _: model(x).sum().backward())

    def cured(_):
        with sdpa_kernel(SDPBackend.MATH):
            model(x).sum().backward()

    ops = record(model, tmp_path / "t.pkl", cured)
    assert [(op.name, op.call, op.macs) for op in ops] == [
        ("Runs.matmul1", 0, 2 * 3 * 25 * 4),
        ("Runs.matmul2", 0, 2 * 3 * 25 * 4),
    ]
    assert all(op.needs_input_grad and op.needs_weight_grad for op in ops)


def test_the_two_products_of_attention_keep_their_names_from_run_to_run(tmp_path):
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2)})

    def body(_):
        for _ in range(2):
            x = torch.randn(3, 5, 8)
            model["attention"](x, x, x)[0].sum().backward()

    ops = record(model, tmp_path / "t.pkl", body)
    products = [(op.name, op.call) for op in ops if op.kind == "matmul"]
    assert products == [(f"attention.matmul{place}", call) for call in (0, 1) for place in (1, 2)]


def test_started_after_the_end(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def body(_):
        for _ in range(3):
            model(torch.ones(2, 2)).sum().backward()
            optimizer.step()

    with pytest.warns(AccelsimWarning, match=r"t.pkl is empty: steps 5 to 7 ran, none .* \(start=1000, every=1\)$"):
        assert record(model, tmp_path / "t.pkl", body, start=1000, first_step=5) == []
    with pytest.warns(AccelsimWarning, match=r"steps 5 to 7 ran.*\(start=0, every=4, stop=4\)$"):
        assert record(model, tmp_path / "t.pkl", body, every=4, stop=4, first_step=5) == []


def test_one_step_before_the_first_to_be_recorded(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def body(_):
        model(torch.ones(2, 2)).sum().backward()
        optimizer.step()

    with pytest.warns(AccelsimWarning, match=r"only step 0 ran, which was not to be recorded \(start=1, every=1\)$"):
        assert record(model, tmp_path / "t.pkl", body, start=1) == []


def test_functional_calls_only(tmp_path):
    weight = torch.randn(3, 3, requires_grad=True)
    with pytest.warns(AccelsimWarning, match=r"is empty: all products ran outside any module.*\. operations"):
        record(nn.Linear(2, 2), tmp_path / "t.pkl", lambda _: weight @ torch.ones(3, 3))


def test_evaluation_only(tmp_path):
    model = nn.Linear(2, 2).eval()

    def body(_):
        with torch.no_grad():
            model(torch.ones(2, 2))

    with pytest.warns(AccelsimWarning, match=r"is empty: the model was in eval mode.*model\.train\(\)"):
        assert record(model, tmp_path / "t.pkl", body) == []


def test_nothing_ran(tmp_path):
    with pytest.warns(AccelsimWarning, match="is empty: no convolution and no matrix product ran"):
        assert record(nn.Linear(2, 2), tmp_path / "t.pkl", lambda _: torch.ones(2) + 1) == []


def test_an_exception_explains_itself(tmp_path):
    with pytest.raises(KeyboardInterrupt), Tracer(nn.Linear(2, 2), tmp_path / "t.pkl"):
        raise KeyboardInterrupt


def test_live_says_that_nothing_was_recorded():
    meter = live(nn.Linear(2, 2), "hw_configs/pe16x16.yaml")
    with pytest.warns(AccelsimWarning, match="no convolution and no matrix product ran"), meter:
        pass


def _by_numpy(weight, x):
    """A kernel that PyTorch does not see."""
    return torch.from_numpy(x.detach().numpy() @ weight.detach().numpy())


def _by_numpy_of_a_cast(weight, x):
    return _by_numpy(weight.double().t(), x.double()).float()


@pytest.mark.parametrize("kernel", [_by_numpy, _by_numpy_of_a_cast])
def test_a_module_whose_weights_no_operation_had_is_named(kernel, tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), Runs(kernel, 4, 4), nn.Linear(4, 2))
    with pytest.warns(AccelsimWarning, match="modules whose weights were in no operation.* ran: 1; .* unknown"):
        ops = record(model, tmp_path / "t.pkl", lambda _: model(torch.ones(2, 4)).sum().backward())
    assert [op.name for op in ops] == ["0", "2"]


def test_modules_whose_weights_are_not_multiplied_are_not_named(tmp_path):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 4)
            self.position = nn.Parameter(torch.randn(1, 3, 4, dtype=torch.float64))
            self.unused = nn.Parameter(torch.randn(3, 4))
            self.lazy = nn.LazyLinear(3)
            self.norm = nn.LayerNorm([3, 4])
            self.masked = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))

        def forward(self, tokens):
            x = self.embedding(tokens) + self.position[:, :2].float()
            return self.lazy(self.norm(self.masked(torch.cat([x, x[:, :1]], 1))))

    model = Model()
    ops = record(model, tmp_path / "t.pkl", lambda _: model(torch.tensor([[0, 1]])).sum().backward())
    assert [op.name for op in ops] == ["masked", "lazy"]
