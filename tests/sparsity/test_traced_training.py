"""A traced sparse run: which weight gradients each method leaves out, and when it does not."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from accelsim.sparsity import METHODS, SparsePlan, branch, build_sparsifier, sparse_layers
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer

GROWS = {"rigl": {3, 6}, "granet": {0, 3, 6, 9}, "scp": {0, 3, 6, 9}}


@pytest.mark.parametrize("method", list(METHODS))
def test_gradients_of_pruned_weights_are_not_needed_but_where_weights_grow(method: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(64, 8))
    plan = SparsePlan(method, 0.5, "2:4", start=0, end=9, every=3, exchange=0.5)
    sparsifier = build_sparsifier(plan, sparse_layers(model))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    masks = []
    with Tracer(model, tmp_path / "t.pkl"):
        for step in range(11):
            sparsifier.before_step(step)
            parts = {name: model.get_submodule(name).parametrizations.weight[0] for name in ("2", "4")}  # type: ignore[union-attr,index]
            masks.append({(name, call): parts[name].of(call).clone() for name in parts for call in (0, 1)})
            first, second = torch.randn(2, 4, 3, 6, 6)
            a = model(first)
            with branch(1):
                b = model(second)
            optimizer.zero_grad()
            functional.mse_loss(a, b + 1).backward()
            sparsifier.after_backward(step)
            optimizer.step()
    seen = 0
    for op in TraceReader(tmp_path / "t.pkl"):
        if op.name == "0" or method == "sr-ste" or op.step in GROWS.get(method, ()):
            assert op.weight_grad_needed is None
        else:
            mask = masks[op.step][op.name, op.call]
            assert (op.weight_grad_needed.reshape(mask.shape) == mask.numpy()).all()  # type: ignore[union-attr]
            seen += 1
    assert seen == (0 if method == "sr-ste" else 4 * (11 - len(GROWS.get(method, ()))))
