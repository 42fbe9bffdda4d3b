"""Random starts: published FLOPs of ResNet-50, and ERK solved another way."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity import MaskedBranch, erk_densities, find_pattern, uniform_densities
from accelsim.ssl.encoders import build_encoder


def _re_solved(shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """The published way: layers above 1 become dense, one more round for the rest."""
    dense: set[str] = set()
    while True:
        rest = {name: shape for name, shape in shapes.items() if name not in dense}
        budget = density * sum(map(math.prod, shapes.values())) - sum(math.prod(shapes[name]) for name in dense)
        eps = budget / sum(sum(shape) for shape in rest.values()) if rest else 0
        above = {name for name, shape in rest.items() if eps * sum(shape) / math.prod(shape) > 1}
        if not above:
            return {n: 1.0 if n in dense else eps * sum(s) / math.prod(s) for n, s in shapes.items()}
        dense |= above


SHAPES = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 99), st.integers(1, 99), st.integers(1, 5), st.integers(1, 5)),
        st.tuples(st.integers(1, 99), st.integers(1, 99)),
    ),
    min_size=1,
    max_size=8,
).map(lambda shapes: {str(i): shape for i, shape in enumerate(shapes)})


@settings(deadline=None, max_examples=100)
@given(shapes=SHAPES, density=st.floats(0.01, 1))
def test_erk_is_what_re_solving_gives_and_its_total_is_exact(
    shapes: dict[str, tuple[int, ...]], density: float
) -> None:
    found = erk_densities(shapes, density)
    assert found == pytest.approx(_re_solved(shapes, density), rel=1e-6)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    assert sum(found[name] * sizes[name] for name in sizes) == pytest.approx(density * sum(sizes.values()), rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(shapes=SHAPES, density=st.floats(0.5, 1))
def test_erk_above_a_floor_keeps_floor_and_total(shapes: dict[str, tuple[int, ...]], density: float) -> None:
    found = erk_densities(shapes, density, least=0.5)
    assert min(found.values()) >= 0.5
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    assert sum(found[name] * sizes[name] for name in sizes) == pytest.approx(density * sum(sizes.values()), rel=1e-9)


def _resnet50() -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Weight shapes and forward multiply-accumulates of ResNet-50 on an image of 224 x 224, by layer."""
    with torch.device("meta"):
        model = build_encoder("resnet50", 64, "imagenet", classes=1000).eval()
        images = torch.empty(1, 3, 224, 224)
    shapes, macs = {}, {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            shapes[name] = tuple(layer.weight.shape)

            def count(layer: nn.Module, _: object, output: torch.Tensor, name: str = name) -> None:
                macs[name] = math.prod(output.shape[2:]) * layer.weight.numel()  # type: ignore[operator]

            layer.register_forward_hook(count)
    with torch.no_grad():
        model(images)
    assert sum(macs.values()) == pytest.approx(4.09e9, rel=0.01)
    return shapes, macs


def test_resnet50_at_80_percent_has_the_published_flops() -> None:
    shapes, macs = _resnet50()
    total = sum(macs.values())
    erk = sum(density * macs[name] for name, density in erk_densities(shapes, 0.2).items()) / total
    uniform = uniform_densities(shapes, 0.2) | {"conv1": 1.0}
    first_dense = sum(uniform[name] * macs[name] for name in macs) / total
    # published: 0.42 and 0.23. Products alone give a little less, since nothing dense stands beside them here.
    assert erk == pytest.approx(0.4138, abs=1e-4)
    assert first_dense == pytest.approx(0.2 + 0.8 * macs["conv1"] / total, abs=1e-9)
    assert erk == pytest.approx(0.42, abs=0.01)
    assert first_dense == pytest.approx(0.23, abs=0.01)


@pytest.mark.parametrize("pattern", ["element", "2:4", "4x4", "channel"])
def test_a_start_is_exact_random_repeatable_and_nested(pattern: str) -> None:
    found = find_pattern(pattern)
    layers = {"a": nn.Conv2d(8, 16, 3), "b": nn.Linear(16, 12)}
    masks = {}
    for density in (0.5, 0.75):
        for seed in (0, 0, 1):
            branch = MaskedBranch(layers, seed=seed)
            branch.start(density, "uniform", found)
            for mask in branch.masks.values():
                units = len(found.unit_scores(mask.float()))
                removed = mask.numel() / units * found.removed
                assert int((~mask).sum()) == round((1 - density) / found.removed * units) * removed
            chosen = torch.cat([mask.flatten() for mask in branch.masks.values()])
            assert torch.equal(masks.setdefault((density, seed), chosen), chosen)
    assert not torch.equal(masks[0.75, 0], masks[0.75, 1])
    assert not (masks[0.5, 0] & ~masks[0.75, 0]).any()


def test_impossible_densities_are_refused() -> None:
    with pytest.raises(TrainingError, match="density of 0"):
        erk_densities({"a": (2, 2)}, 0.0)
    with pytest.raises(TrainingError, match=r"leaves 0\.5 at least"):
        uniform_densities({"a": (2, 2)}, 0.4, 0.5)
