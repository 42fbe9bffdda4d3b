"""What a method says of its own operations reaches their records, and nothing else."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from accelsim.errors import TracingError
from accelsim.tracing import annotations
from accelsim.tracing.annotations import needed_outputs, note_weight_grad_needed
from tests.tracing.loops import record


class Noted(nn.Module):
    """A layer that computes with weight * mask and says that the rest's gradient is not needed."""

    def __init__(self, layer, mask):
        super().__init__()
        self.layer, self.mask = layer, mask

    def forward(self, x):
        weight = self.layer.weight * self.mask
        note_weight_grad_needed(weight, self.mask)
        if isinstance(self.layer, nn.Conv1d):
            return nn.functional.conv1d(x, weight)
        if isinstance(self.layer, nn.Conv2d):
            return nn.functional.conv2d(x, weight)
        return nn.functional.linear(x, weight)


LAYERS = [
    (nn.Conv2d(3, 4, 3), (2, 3, 5, 5)),
    (nn.Conv1d(3, 4, 3), (2, 3, 5)),
    (nn.Linear(3, 4), (2, 3)),
    (nn.Linear(3, 4), (2, 5, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_noted_weight_s_mask_is_recorded_in_its_own_shape(layer, shape, cast, checkpointed, tmp_path):
    mask = torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    model = Noted(layer, mask)

    def body(_):
        x = torch.randn(shape, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            y = checkpoint(model, x, use_reentrant=False) if checkpointed else model(x)
        y.float().square().sum().backward()

    for op in record(model, tmp_path / "t.pkl", body):
        if op.needs_weight_grad:
            assert (op.weight_grad_needed.reshape(mask.shape) == mask.numpy()).all()
            assert (op.weight.reshape(mask.shape) <= mask.numpy()).all()
        else:
            assert op.weight_grad_needed is None
    assert not annotations._NOTES.by_storage
    assert not annotations._NOTES.recording


def test_notes_are_kept_only_in_recorded_steps_and_for_the_noted_tensor(tmp_path):
    layer = nn.Conv2d(3, 4, 3)
    plain, model = nn.Conv2d(3, 4, 3), Noted(layer, torch.zeros(4, 3, 3, 3, dtype=torch.bool))
    both = nn.ModuleList([plain, model])
    kept = []

    def body(tracer):
        for _ in range(3):
            x = torch.randn(2, 3, 5, 5)
            (plain(x).sum() + model(x).sum()).backward()
            kept.append(len(annotations._NOTES.by_storage))
            tracer.step()

    ops = record(both, tmp_path / "t.pkl", body, every=2)
    assert kept == [1, 0, 1]
    assert sorted({(op.name, op.weight_grad_needed is None) for op in ops}) == [("0", True), ("1", False)]
    note_weight_grad_needed(layer.weight, torch.ones(4, 3, 3, 3, dtype=torch.bool))
    assert annotations.weight_grad_needed(layer.weight) is None


class Half(nn.Module):
    """A layer of whose outputs only some are used."""

    def __init__(self, layer, needed):
        super().__init__()
        self.layer, self.needed = layer, needed

    def forward(self, x):
        with needed_outputs(self.needed):
            y = self.layer(x)
        return torch.where(self.needed, y, torch.zeros_like(y))


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_needed_outputs_are_recorded_with_and_without_backward(layer, shape, tmp_path):
    with torch.no_grad():
        out = layer(torch.zeros(shape)).shape
    needed = torch.rand(out, generator=torch.Generator().manual_seed(0)) < 0.5
    model = Half(layer, needed)
    after = nn.Linear(out[-1], 2)

    def body(_):
        after(model(torch.randn(shape))).sum().backward()
        with torch.no_grad():
            model(torch.randn(shape))

    ops = record(nn.ModuleList([model, after]), tmp_path / "t.pkl", body)
    assert sorted((op.name, op.grad_output is None) for op in ops) == [
        ("0.layer", False),
        ("0.layer", True),
        ("1", False),
    ]
    for op in ops:
        if op.name == "1":
            assert op.output_needed is None
            continue
        assert (op.output_needed.reshape(needed.shape) == needed.numpy()).all()
        if op.grad_output is not None:
            assert not (op.grad_output.reshape(needed.shape) & ~needed.numpy()).any()


def test_masks_that_do_not_fit_are_refused(tmp_path):
    layer = nn.Conv2d(3, 4, 3)
    with pytest.raises(TracingError, match=r"shape \(4, 3\), expected the same"):
        note_weight_grad_needed(layer.weight, torch.ones(4, 3, dtype=torch.bool))
    model = Half(layer, torch.ones(2, 4, 1, 1, dtype=torch.bool))
    with pytest.raises(TracingError, match=r"layer.*\(2, 4, 1, 1\), expected that of the output, \(2, 4, 3, 3\)"):
        record(model, tmp_path / "t.pkl", lambda _: model(torch.randn(2, 3, 5, 5)))
