"""Parameters and multiply-accumulates as published."""

from pathlib import Path

import pytest
import torch
from torch import nn

from accelsim.errors import TrainingError
from accelsim.ssl.encoders import build_encoder
from accelsim.trace import open_trace
from accelsim.tracing import Tracer


def _macs(model: nn.Module, size: int) -> int:
    """Multiply-accumulates of one image from the geometry of every layer that runs."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel()  # type: ignore[index,operator]

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)  # type: ignore[arg-type]
    model.eval()(torch.zeros(1, 3, size, size, device="meta"))
    return total


@pytest.mark.parametrize(
    ("arch", "parameters", "macs"),
    [  # torchvision's published tables: parameters, GFLOPS (of multiply-adds)
        ("resnet18", 11_689_512, 1.814e9),
        ("resnet34", 21_797_672, 3.664e9),
        ("resnet50", 25_557_032, 4.089e9),
    ],
)
def test_imagenet_networks_have_published_size(arch: str, parameters: int, macs: float) -> None:
    with torch.device("meta"):
        model = build_encoder(arch, stem="imagenet", classes=1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert _macs(model, 224) == pytest.approx(macs, rel=5e-4)


def test_cifar_resnet18_has_published_macs() -> None:
    with torch.device("meta"):
        model = build_encoder("resnet18", classes=10)
    assert _macs(model, 32) == 555_422_720
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962


@pytest.mark.parametrize(("arch", "macs"), [("resnet18", 1_814_073_344), ("resnet50", 4_089_184_256)])
def test_a_trace_of_one_image_has_the_published_macs(arch: str, macs: int, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = build_encoder(arch, stem="imagenet", classes=1000)
    path = tmp_path / "one.pkl"
    with Tracer(model, path) as tracer, torch.no_grad():
        model(torch.randn(1, 3, 224, 224))
        tracer.step()
    assert sum(op.macs for op in open_trace(path)) == macs


@pytest.mark.parametrize(("arch", "expansion"), [("resnet18", 1), ("resnet34", 1), ("resnet50", 4)])
def test_features_have_the_stated_length(arch: str, expansion: int) -> None:
    encoder = build_encoder(arch, width=2).eval()
    assert encoder.feature_dim == 8 * 2 * expansion
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, encoder.feature_dim)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("resnet19",), "resnet18, resnet34, resnet50"), (("resnet18", 0), "width"), (("resnet18", 4, "stl"), "stem")],
)
def test_unknown_networks_are_refused(arguments: tuple[str, int, str], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        build_encoder(*arguments)
