"""SimCLR's augmentation on whole batches: random resized crop, flip, colour jitter, greyscale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# ITU-R BT.601 luma, and the YIQ axes in which a hue shift turns the chrominance plane (I, Q). In RGB such a turn by an
# angle is FIXED + cos * COSINE + sin * SINE.
_LUMA = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = torch.tensor([_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
_YIQ_TO_RGB = torch.linalg.inv(_RGB_TO_YIQ)
_FIXED = _YIQ_TO_RGB[:, :1] @ _RGB_TO_YIQ[:1]
_COSINE = _YIQ_TO_RGB[:, 1:] @ _RGB_TO_YIQ[1:]
_SINE = _YIQ_TO_RGB[:, 1:] @ torch.tensor([[0.0, -1.0], [1.0, 0.0]]) @ _RGB_TO_YIQ[1:]


@dataclass(frozen=True)
class Augmentation:
    """SimCLR's views of 32x32 images (Chen et al. 2020, appendix B.9: no blur; crops no smaller than a fifth).

    Each image draws its own numbers. Brightness, contrast, saturation and hue are applied in this order; hue turns the
    chrominance plane of YIQ, which on a batch is simpler than a conversion to HSV and back.

    Attributes:
        min_area: smallest crop, as a share of the image's area; aspect ratios are 3/4 to 4/3.
        jitter: largest relative change of brightness, contrast and saturation.
        hue: largest change of hue, in turns.
        jitter_share: share of images whose colours are jittered.
        grey_share: share of images turned grey.
    """

    min_area: float = 0.2
    jitter: float = 0.4
    hue: float = 0.1
    jitter_share: float = 0.8
    grey_share: float = 0.2

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return one random view of each image.

        Args:
            images: uint8 [N, 3, H, W].
            generator: where all random numbers come from.

        Returns:
            float32 [N, 3, H, W] in [-1, 1].
        """
        view = self._crop(images.float() / 255, generator)
        chosen = torch.rand(len(view), generator=generator) < self.jitter_share
        view = torch.where(chosen[:, None, None, None], self._jitter(view, generator), view)
        grey = torch.rand(len(view), generator=generator) < self.grey_share
        return torch.where(grey[:, None, None, None], _luma(view).expand_as(view), view) * 2 - 1

    def _crop(self, images: Tensor, generator: torch.Generator) -> Tensor:
        n = len(images)
        area = torch.empty(n).uniform_(self.min_area, 1, generator=generator)
        ratio = torch.empty(n).uniform_(-1, 1, generator=generator).mul(torch.tensor(4 / 3).log()).exp()
        width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        x, y = torch.empty(2, n).uniform_(-1, 1, generator=generator) * (1 - torch.stack([width, height]))
        mirror = torch.randint(0, 2, (n,), generator=generator) * 2 - 1
        # Pixel centres from -1 to 1, scaled and moved into the crop.
        columns, rows = ((torch.arange(extent) * 2 + 1) / extent - 1 for extent in (images.shape[3], images.shape[2]))
        across = columns * (width * mirror)[:, None] + x[:, None]
        down = rows * height[:, None] + y[:, None]
        grid = torch.stack(
            [across[:, None, :].expand(-1, len(rows), -1), down[:, :, None].expand(-1, -1, len(columns))], dim=3
        )
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _jitter(self, view: Tensor, generator: torch.Generator) -> Tensor:
        n = len(view)
        factors = torch.empty(3, n, 1, 1, 1).uniform_(1 - self.jitter, 1 + self.jitter, generator=generator)
        brightness, contrast, saturation = factors
        view = (view * brightness).clamp(0, 1)
        mean = _luma(view).mean((1, 2, 3), keepdim=True)
        view = (mean + (view - mean) * contrast).clamp(0, 1)
        luma = _luma(view)
        view = (luma + (view - luma) * saturation).clamp(0, 1)
        angle = torch.empty(n, 1, 1).uniform_(-self.hue, self.hue, generator=generator) * 2 * torch.pi
        turn: Tensor = _FIXED + angle.cos() * _COSINE + angle.sin() * _SINE
        # Sums, not a matrix product: a recorded step should show the network's products only.
        return (turn[..., None, None] * view[:, None]).sum(2).clamp(0, 1)


def _luma(view: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
    return (view * weights).sum(1, keepdim=True)


def plain(images: Tensor) -> Tensor:
    """Return images uint8 [N, 3, H, W] as the encoder sees them unaugmented, float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
