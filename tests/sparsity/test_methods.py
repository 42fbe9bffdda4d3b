"""What every method keeps true, step after step, on a small network that really trains."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from accelsim.errors import TrainingError
from accelsim.sparsity import (
    METHODS,
    SRSTE,
    MaskedBranch,
    SparsePlan,
    Sparsifier,
    StraightThroughMask,
    WeightMask,
    branch,
    build_sparsifier,
    erk_densities,
    find_pattern,
    sparse_layers,
    total_sparsity,
)

torch.set_num_threads(1)

STEPS, EVERY, END = 12, 3, 9


def _encoder(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 8, 1),
        nn.Flatten(),
        nn.Linear(32, 8),
    )


class Run:
    """A run of two views, with a momentum encoder or without, and the masks after each step."""

    def __init__(self, plan: SparsePlan, momentum: bool = False, seed: int = 0) -> None:
        self.encoder = _encoder(seed)
        self.offline = copy.deepcopy(self.encoder) if momentum else None
        self.layers = sparse_layers(self.encoder)
        self.offline_layers = sparse_layers(self.offline) if self.offline is not None else None
        self.sparsifier: Sparsifier = build_sparsifier(plan, self.layers, self.offline_layers)
        self.optimizer = torch.optim.AdamW(self.encoder.parameters(), lr=1e-2)
        self.step = 0

    def advance(self) -> list[bool]:
        generator = torch.Generator().manual_seed(self.step)
        first, second = torch.randn(2, 4, 3, 6, 6, generator=generator)
        changed = [self.sparsifier.before_step(self.step)]
        a = self.encoder(first)
        with branch(1), torch.set_grad_enabled(self.offline is None):
            b = (self.offline or self.encoder)(second)
        self.optimizer.zero_grad()
        functional.mse_loss(a, b + 1).backward()
        changed.append(self.sparsifier.after_backward(self.step))
        self.optimizer.step()
        if self.offline is not None:
            with torch.no_grad():
                for old, new in zip(self.offline.parameters(), self.encoder.parameters(), strict=True):
                    old.lerp_(new, 0.1)
        self.step += 1
        return changed

    def parts(self, offline: bool = False) -> list[WeightMask]:
        encoder = self.offline if offline else self.encoder
        assert encoder is not None
        return [module for module in encoder.modules() if isinstance(module, WeightMask)]

    def masks(self, index: int = 0, offline: bool = False) -> torch.Tensor:
        """All masks of a branch, flat."""
        return torch.cat([part.of(index).flatten() for part in self.parts(offline)])  # type: ignore[arg-type]


def _plan(method: str, pattern: str = "element", **more: object) -> SparsePlan:
    sparsity = {"2:4": 0.5, "transposable-2:4": 0.5}.get(pattern, 0.7)
    numbers = {"sparsity": sparsity, "start": 0, "end": END, "every": EVERY, "exchange": 0.5, "exchange_final": 0.005}
    return SparsePlan(method=method, pattern=pattern, **{**numbers, **more})  # type: ignore[arg-type]


def _units(run: Run, pattern: str) -> int:
    return sum(len(find_pattern(pattern).unit_scores(part.mask.float())) for part in run.parts())


RAMPED = ["gmp", "one-branch", "granet", "scp"]


@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize(
    ("method", "pattern"),
    [*itertools.product(RAMPED, ["element", "2:4", "4x4", "1x4"]), ("gmp", "channel"), ("gmp", "transposable-2:4")],
)
def test_ramps_prune_exactly_the_units_that_the_schedule_says(method: str, pattern: str, momentum: bool) -> None:
    plan = _plan(method, pattern)
    run = Run(plan, momentum)
    removed, units = find_pattern(pattern).removed, _units(run, pattern)
    gaps = {"scp": plan.gap, "one-branch": 1.0}
    for step in range(STEPS):
        changed = run.advance()
        assert any(changed) == (step in (0, 3, 6, 9))
        reached = plan.schedule.sparsity(min(step - step % EVERY, END))
        for other in (False, True):
            sparsity = max(0.0, reached - gaps.get(method, 0.0) * other)
            masks = run.masks(offline=True) if momentum and other else run.masks(index=int(other))
            if pattern in ("element", "2:4", "transposable-2:4"):  # every unit of this network has all its elements
                gone = round(sparsity / removed * units) * int((~masks).numel() / units * removed)
                assert int((~masks).sum()) == gone
    assert [update.step for update in run.sparsifier.log] == [0, 3, 6, 9]


@pytest.mark.parametrize("pattern", ["element", "2:4", "4x4", "1x4", "channel", "transposable-2:4"])
@pytest.mark.parametrize("criterion", ["magnitude", "ema-magnitude", "gradient", "random", "lamp"])
def test_gradual_pruning_never_brings_a_weight_back_by_any_criterion(pattern: str, criterion: str) -> None:
    run = Run(_plan("gmp", pattern, criterion=criterion))
    before = run.masks().clone()
    for _ in range(STEPS):
        run.advance()
        after = run.masks().clone()
        assert not (after & ~before).any()
        before = after
    assert total_sparsity(run.encoder) > 0.4


@pytest.mark.parametrize("pattern", ["element", "2:4", "4x4", "1x4"])
@pytest.mark.parametrize(
    ("method", "criterion"), [("set", "magnitude"), ("set", "random"), ("rigl", "magnitude"), ("rigl", "ema-magnitude")]
)
def test_exchanges_keep_each_layer_s_number_from_an_erk_start(method: str, criterion: str, pattern: str) -> None:
    run = Run(_plan(method, pattern, criterion=criterion))
    found = find_pattern(pattern)
    shapes = {name: tuple(layer.weight.shape) for name, layer in run.layers.items()}
    plan = _plan(method, pattern)
    densities = erk_densities(shapes, 1 - plan.sparsity, 1 - found.removed)
    counts = [int(part.mask.sum()) for part in run.parts()]
    for count, part, density in zip(counts, run.parts(), densities.values(), strict=True):
        units = len(found.unit_scores(part.mask.float()))
        share = min(1.0, (1 - density) / found.removed)
        lost = round(share * units) * part.mask.numel() / units * found.removed
        assert count == part.mask.numel() - lost
    before = run.masks().clone()
    for step in range(STEPS):
        changed = run.advance()
        assert any(changed) == (step in (3, 6))
        assert [int(part.mask.sum()) for part in run.parts()] == counts
        after = run.masks().clone()
        assert (not torch.equal(after, before)) == any(changed)
        before = after


@pytest.mark.parametrize("method", ["set", "rigl", "granet", "scp"])
def test_weights_that_no_branch_used_start_at_zero(method: str) -> None:
    run = Run(_plan(method, initial_density=0.6))
    for _ in range(STEPS):
        used = [part.of(0) | part.of(1) for part in run.parts()]
        # as if the optimiser had moved what is pruned
        for layer, use in zip(run.layers.values(), used, strict=True):
            layer.parametrizations.weight.original.data[~use] = 5.0  # type: ignore[union-attr,index]
        run.optimizer = torch.optim.SGD(run.encoder.parameters(), lr=0.0)
        run.advance()
        for layer, use in zip(run.layers.values(), used, strict=True):
            part = layer.parametrizations.weight[0]  # type: ignore[union-attr,index]
            born = (part.of(0) | part.of(1)) & ~use
            assert (layer.parametrizations.weight.original[born] == 0).all()  # type: ignore[union-attr,index]


@settings(deadline=None, max_examples=15)
@given(
    gap=st.floats(0, 0.6),
    momentum=st.booleans(),
    criterion=st.sampled_from(["magnitude", "ema-magnitude"]),
    initial=st.sampled_from([1.0, 0.5]),
    pattern=st.sampled_from(["element", "4x4"]),
)
def test_scp_s_branches_are_a_gap_apart_and_its_log_says_how_they_overlap(
    gap: float, momentum: bool, criterion: str, initial: float, pattern: str
) -> None:
    plan = _plan("scp", pattern, gap=gap, criterion=criterion, initial_density=initial)
    run = Run(plan, momentum)
    for _ in range(STEPS):
        masks = [run.masks(), run.masks(offline=True) if momentum else run.masks(index=1)]
        before = [mask.clone() for mask in masks]
        updated = any(run.advance())
        online, offline = run.masks(), run.masks(offline=True) if momentum else run.masks(index=1)
        if not updated:
            assert torch.equal(online, before[0])
            assert torch.equal(offline, before[1])
            continue
        update = run.sparsifier.log[-1]
        target = plan.schedule.sparsity(update.step)
        room = 0.5 / _units(run, pattern) * 32  # of a 4x4 block among ragged ones: none here, so half a unit at most
        assert update.sparsity[0] == pytest.approx(target, abs=room)
        assert update.sparsity[1] == pytest.approx(max(0.0, target - gap), abs=room)
        share = int((online & offline).sum()) / min(int(online.sum()), int(offline.sum()))
        assert update.overlap_branches == pytest.approx(share)
        for new, old, said in zip((online, offline), before, update.overlap_previous, strict=True):
            assert said == pytest.approx(int((new & old).sum()) / min(int(new.sum()), int(old.sum())))


def test_each_view_of_a_shared_encoder_runs_through_its_own_mask() -> None:
    run = Run(_plan("scp"))
    for _ in range(STEPS):
        run.advance()
    (layer, *_) = run.layers.values()
    part = layer.parametrizations.weight[0]  # type: ignore[union-attr,index]
    stored = layer.parametrizations.weight.original  # type: ignore[union-attr]
    assert torch.equal(layer.weight, stored * part.mask)
    with branch(1):
        assert torch.equal(layer.weight, stored * part.second_mask)
    assert not torch.equal(part.mask, part.second_mask)


@pytest.mark.parametrize("method", ["gmp", "set", "rigl", "granet", "sr-ste"])
def test_a_momentum_encoder_follows_where_the_method_knows_one_mask(method: str) -> None:
    run = Run(_plan(method, "2:4"), momentum=True)
    for _ in range(STEPS):
        run.advance()
        assert torch.equal(run.masks(), run.masks(offline=True))


def test_one_branch_leaves_the_other_dense() -> None:
    for momentum in (False, True):
        run = Run(_plan("one-branch"), momentum)
        for _ in range(STEPS):
            run.advance()
        assert int((~run.masks()).sum()) == round(0.7 * len(run.masks()))
        assert (run.masks(offline=True) if momentum else run.masks(index=1)).all()


def test_rigl_grows_where_the_dense_weight_s_own_gradient_is_largest() -> None:
    run = Run(_plan("rigl", exchange=0.3))
    for _ in range(3):
        run.advance()
    # an independent network without masks: its weights are the masked ones, its gradient is autograd's own
    dense = _encoder()
    with torch.no_grad():
        for mine, theirs in zip(dense, run.encoder, strict=True):
            if hasattr(mine, "weight"):
                mine.weight.copy_(theirs.weight)
                mine.bias.copy_(theirs.bias)
    first, second = torch.randn(2, 4, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    functional.mse_loss(dense(first), dense(second) + 1).backward()
    before = [part.mask.clone() for part in run.parts()]
    weights = {name: layer.weight.detach().clone() for name, layer in run.layers.items()}
    run.sparsifier.before_step(3)
    run.optimizer.zero_grad()
    functional.mse_loss(run.encoder(first), run.encoder(second) + 1).backward()
    for part, old, name in zip(run.parts(), before, run.layers, strict=True):
        gradient = dense.get_submodule(name).weight.grad
        assert part.dense_gradient is not None
        torch.testing.assert_close(part.dense_gradient, gradient)
        masked = run.layers[name].parametrizations.weight.original.grad  # type: ignore[union-attr]
        torch.testing.assert_close(masked, gradient * old)
    run.sparsifier.after_backward(3)
    for part, old, name in zip(run.parts(), before, run.layers, strict=True):
        gradient = dense.get_submodule(name).weight.grad.abs()
        left, born = part.mask & old, part.mask & ~old
        count = int(_plan("rigl", exchange=0.3).exchanges(0.005).share(3) * int(old.sum()))
        dropped = weights[name].abs()[old].sort().values[:count]
        assert int((old & ~part.mask).sum()) <= count
        assert weights[name].abs()[old & ~part.mask].max() <= dropped.max()
        assert gradient[born].min() >= gradient[~part.mask].max() - 1e-7
        assert int(left.sum() + born.sum()) == int(old.sum())


def test_sr_ste_s_gradient_is_straight_through_with_decay_once_a_step() -> None:
    decay = 0.1
    run = Run(_plan("sr-ste", "2:4", decay=decay))
    assert all(isinstance(part, StraightThroughMask) for part in run.parts())
    run.sparsifier.before_step(0)
    dense = _encoder()
    with torch.no_grad():
        for mine, theirs in zip(dense, run.encoder, strict=True):
            if hasattr(mine, "weight"):
                mine.weight.copy_(theirs.weight)
    images = torch.randn(2, 4, 3, 6, 6)
    for model in (dense, run.encoder):
        functional.mse_loss(model(images[0]), model(images[1]) + 1).backward()
    run.sparsifier.after_backward(0)
    for name, layer in run.layers.items():
        stored = layer.parametrizations.weight.original  # type: ignore[union-attr]
        part = layer.parametrizations.weight[0]  # type: ignore[union-attr,index]
        expected = dense.get_submodule(name).weight.grad + decay * ~part.mask * stored.detach()
        torch.testing.assert_close(stored.grad, expected)
        groups = part.mask.movedim(1, -1).reshape(-1, 4)
        assert (groups.sum(1) == 2).all()
        sizes = stored.detach().abs().movedim(1, -1).reshape(-1, 4)
        assert torch.equal(sizes.topk(2).indices.sort().values, groups.nonzero()[:, 1].reshape(-1, 2))


@pytest.mark.parametrize("method", list(METHODS))
def test_a_run_goes_on_bit_for_bit_from_state_dictionaries(method: str) -> None:
    criterion = "magnitude" if method == "sr-ste" else "ema-magnitude"
    plan = _plan(method, "2:4", criterion=criterion)
    through = Run(plan)
    for _ in range(5):
        through.advance()
    saved = copy.deepcopy((through.encoder.state_dict(), through.optimizer.state_dict()))
    for _ in range(5, STEPS):
        through.advance()
    again = Run(plan, seed=1)
    again.encoder.load_state_dict(saved[0])
    again.optimizer.load_state_dict(saved[1])
    again.step = 5
    for _ in range(5, STEPS):
        again.advance()
    for name, tensor in through.encoder.state_dict().items():
        assert torch.equal(tensor, again.encoder.state_dict()[name]), name


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"method": "magic"}, "sparse method 'magic', expected one of gmp"),
        ({"pattern": "2:4", "sparsity": 0.8}, "2:4 removes 0.5 at most"),
        ({"pattern": "3:2"}, "pattern"),
        ({"criterion": "size"}, "criterion 'size'"),
        ({"distribution": "flat"}, "distribution 'flat'"),
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"initial_density": 0.1, "sparsity": 0.8}, "initial_density"),
        ({"method": "sr-ste", "pattern": "2:4", "sparsity": 0.3}, "sr-ste"),
        ({"seed": -1}, "seed"),
        ({"method": "sr-ste", "criterion": "lamp"}, "chooses weights by magnitude"),
        ({"method": "scp", "pattern": "transposable-2:4", "sparsity": 0.5}, "cannot be exchanged one by one"),
        ({"start": 9, "end": 3}, "start"),
        ({"every": 0}, "every"),
        ({"exchange": 1.5}, "exchanged"),
        ({"exchange": 0.1, "exchange_final": 0.2}, "exchanged"),
        ({"gap": 1.0}, "gap"),
    ],
)
def test_plans_that_make_no_sense_are_refused(plan: dict[str, object], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        SparsePlan(**plan)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"method": "set", "criterion": "gradient"}, "SET never asks"),
        ({"method": "sr-ste", "pattern": "2:4", "sparsity": 0.5, "decay": -1.0}, "decay"),
    ],
)
def test_methods_refuse_what_they_cannot_do(plan: dict[str, object], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        build_sparsifier(SparsePlan(**plan), sparse_layers(_encoder()))  # type: ignore[arg-type]


def test_sr_ste_refuses_patterns_that_leave_nothing_of_a_unit() -> None:
    with pytest.raises(TrainingError, match="chooses N of M weights, which element does not"):
        SRSTE(MaskedBranch(sparse_layers(_encoder()), kind=StraightThroughMask), "element")


def test_a_momentum_encoder_of_another_shape_and_steps_out_of_order_are_refused() -> None:
    with pytest.raises(TrainingError, match="expected a copy"):
        build_sparsifier(_plan("gmp"), sparse_layers(_encoder()), {"x": nn.Linear(2, 2)})
    run = Run(_plan("granet"))
    with pytest.raises(TrainingError, match="call before_step ahead"):
        run.sparsifier.after_backward(0)
    run.sparsifier.before_step(0)
    run.encoder(torch.randn(2, 3, 6, 6)).sum().backward()
    with pytest.raises(TrainingError, match="call after_backward behind"):
        run.sparsifier.before_step(3)
