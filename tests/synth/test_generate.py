"""Operations made up: densities, determinism, the simulator's closed forms, and no PyTorch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, TraceWriter, open_trace, simulate, synthesize
from accelsim.errors import AccelsimError
from accelsim.synth import NETWORKS, Layer

CONV = Layer(name="conv", c_in=16, c_out=8, kernel=(3, 3), padding=(1, 1), image=(8, 8), after_relu=True)


@st.composite
def layers(draw) -> Layer:
    groups = draw(st.integers(1, 2))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return Layer(
        name=draw(st.sampled_from("abc")),
        c_in=groups * draw(st.integers(1, 9)),
        c_out=groups * draw(st.integers(1, 9)),
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        padding=draw(st.tuples(st.integers(0, 1), st.integers(0, 1))),
        image=tuple(extent + draw(st.integers(0, 3)) for extent in kernel),
        groups=groups,
        tokens=draw(st.integers(1, 3)),
        reads_data=draw(st.booleans()),
        after_relu=draw(st.booleans()),
    )


@given(
    layers(),
    st.integers(1, 3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(("element", "channel", "1x4", "2x2")),
)
def test_what_is_made_up_simulates(
    layer: Layer, batch: int, weight: float, activation: float, gradient: float, pattern: str
) -> None:
    made = synthesize(
        [layer],
        batch=batch,
        weight_density=weight,
        activation_density=activation,
        gradient_density=gradient,
        pattern=pattern,
    )
    (op,) = made
    if not layer.reads_data:
        assert op.masks["input"].nonzeros == round(activation * op.masks["input"].size)
    assert op.masks["grad_output"].nonzeros == round(gradient * op.masks["grad_output"].size)
    hw = Hardware.model_validate(
        {"name": "a", "array": {"rows": 2, "cols": 2}, "skipping": {"tensors": ["weight", "activation", "gradient"]}}
    )
    rows = simulate(hw, made, workers=1).layers.set_index("pass")
    p, q = layer.output
    per_group = layer.c_in // layer.groups
    forward = batch * layer.tokens * p * q * layer.c_out * per_group * layer.kernel[0] * layer.kernel[1]
    assert rows.loc["forward", "macs"] == forward == op.macs == batch * layer.macs
    assert ("input_grad" in rows.index) == (not layer.reads_data)
    assert rows.loc["weight_grad", "macs"] == forward


def test_needed_masks() -> None:
    (op,) = synthesize([CONV], weight_density=0.25, activation_density=0.5)
    assert op.masks["input_grad_needed"] == op.masks["input"]
    assert op.masks["weight_grad_needed"] == op.masks["weight"]
    (op,) = synthesize([CONV], weight_density=0.25, activation_density=0.5, relu=False, sparse_weight_grad=False)
    assert set(op.masks) == {"weight", "input", "grad_output"}
    dense = Layer(name="l", c_in=4, c_out=4)
    assert "input_grad_needed" not in next(iter(synthesize([dense], activation_density=0.5))).masks
    (op,) = synthesize([dense], activation_density=0.5, relu=True)
    assert op.masks["input_grad_needed"] == op.masks["input"]


def test_under_n_of_m_the_default_density_is_the_least() -> None:
    assert next(iter(synthesize([CONV], pattern="1:4"))).masks["weight"].density == 0.25
    assert next(iter(synthesize([CONV], pattern="8x8"))).masks["weight"].density == 1


def test_channels() -> None:
    (op,) = synthesize(
        [CONV], activation_density=0.25, gradient_density=0.5, activation_pattern="channel", gradient_pattern="channel"
    )
    assert op.input[:, :, 0, 0].sum(1).tolist() == [4] * 32
    assert op.input.any((0, 2, 3)).sum() == 4
    assert op.grad_output is not None
    assert op.grad_output.all((0, 2, 3)).sum() == 4


def test_masks_depend_on_seed_and_name_but_not_on_company() -> None:
    def masks(network: list[Layer], seed: int = 0) -> dict[str, OpTrace]:
        return {
            op.name: op.masks
            for op in synthesize(network, weight_density=0.5, activation_density=0.5, gradient_density=0.5, seed=seed)
        }

    other = Layer(name="other", c_in=16, c_out=8, kernel=(3, 3), padding=(1, 1), image=(8, 8), after_relu=True)
    alone, together, reverse = masks([CONV]), masks([CONV, other]), masks([other, CONV])
    assert alone["conv"] == together["conv"] == reverse["conv"]
    assert together == reverse
    for name in ("weight", "input", "grad_output"):
        assert together["conv"][name] != together["other"][name]
        assert masks([CONV], seed=1)["conv"][name] != alone["conv"][name]


def test_iterating_again_gives_the_same_and_a_file_holds_it(tmp_path) -> None:
    made = synthesize("resnet18-cifar", batch=1, weight_density=0.3, activation_density=0.6, pattern="1x4")
    path = tmp_path / "t.pkl"
    with TraceWriter(path, made.meta) as writer:
        for op in made:
            writer.write(op)
    reader = open_trace(path)
    assert len(reader) == len(made) == 21
    assert reader.meta["synthetic"] is True
    assert (reader.meta["pattern"], reader.meta["weight_density"], reader.meta["batch"]) == ("1x4", 0.3, 1)
    for kept, plan, again in zip(reader, made.plans, made, strict=True):
        assert kept.masks == again.masks
        assert kept.name == plan.name


def test_large_masks_are_drawn_without_a_byte_an_element() -> None:
    import tracemalloc

    layer = Layer(name="l", c_in=64, c_out=64, image=(112, 112), after_relu=True)
    made = synthesize([layer], batch=64, activation_density=0.5)
    tracemalloc.start()
    (op,) = made
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = op.masks["input"].size
    assert size == 64 * 64 * 112 * 112
    assert peak < size * 0.6  # bits: input, gradient, and what combines them


def test_no_torch() -> None:
    script = (
        "import sys, accelsim.cli.main\n"
        "from accelsim import synthesize\n"
        "ops = list(synthesize('resnet18-cifar', batch=1, pattern='2:4'))\n"
        "print(len(ops), sorted({'torch', 'numba', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "21 []\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight_density": 1.5}, r"weight density is 1\.5, expected a share from 0 to 1"),
        ({"gradient_density": float("nan")}, "gradient density is nan"),
        ({"batch": 0}, "the batch is 0, expected at least 1"),
        (
            {"pattern": "2:4", "weight_density": 0.2},
            r"conv1: a weight density of 0\.2 cannot be had, pattern 2:4 leaves",
        ),
        ({"pattern": "blocks"}, "unknown sparsity pattern 'blocks'"),
        ({"activation_clustering": 1.5}, "activation clustering is 1.5, expected a share from 0 to 1"),
        ({"activation_clustering": 0.5, "activation_pattern": "channel"}, "cannot cluster by 0.5 and follow channel"),
        ({"activation_pattern": "1x8"}, "unknown pattern '1x8' of activations or gradients"),
    ],
)
def test_what_cannot_be_made_up_is_said(options: dict[str, object], words: str) -> None:
    with pytest.raises(AccelsimError, match=words):
        synthesize("resnet18", **options)  # type: ignore[arg-type]


def test_unknown_networks_and_empty_ones() -> None:
    with pytest.raises(AccelsimError, match=f"unknown network 'resnet', expected one of {', '.join(NETWORKS)}"):
        synthesize("resnet")
    with pytest.raises(AccelsimError, match="no layer was given"):
        synthesize([])
