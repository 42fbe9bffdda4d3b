"""The ten layers of `peers_traffic.py` and `scalesim_peer.py --traffic`: of every size, all with three passes."""

from __future__ import annotations

from collections.abc import Iterator

from accelsim.synth.networks import NETWORKS
from accelsim.synth.topology import Layer

LAYERS = {
    "resnet18": (
        *("layer1.0.conv1", "layer2.0.conv1", "layer2.0.downsample.0", "layer2.0.conv2", "layer3.0.conv2"),
        "layer4.0.conv2",
    ),
    "resnet50": ("layer1.0.conv3", "layer2.0.conv2", "layer3.1.conv3", "layer4.1.conv1"),
}


def layers() -> Iterator[tuple[str, Layer]]:
    """Yield the layers, with their networks."""
    for network, names in LAYERS.items():
        for layer in NETWORKS[network]():
            if layer.name in names:
                yield network, layer
