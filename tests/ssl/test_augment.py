"""Views: range, seeds, and each transformation on images where its effect is known."""

import colorsys

import pytest
import torch

from accelsim.ssl.augment import Augmentation, plain

CROP_ONLY = Augmentation(jitter=0, hue=0, jitter_share=0, grey_share=0)


def _images(n: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_views_are_in_range_repeat_with_the_seed_and_differ_without() -> None:
    augment = Augmentation()
    view = augment(_images(), _generator())
    assert view.shape == (6, 3, 32, 32)
    assert view.dtype == torch.float32
    assert -1 <= view.min() < view.max() <= 1
    assert torch.equal(view, augment(_images(), _generator()))
    assert not torch.equal(view, augment(_images(), _generator(1)))


def test_crops_show_a_part_at_the_same_orientation() -> None:
    """Where red is the column and green the row, a crop's red rises or falls linearly and its green rises."""
    ramp = torch.arange(32) * 8
    image = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), torch.zeros(32, 32)]).to(torch.uint8)
    views = CROP_ONLY(image.expand(64, 3, 32, 32), _generator())
    red, green = views[:, 0].mean(1), views[:, 1].mean(2)
    across, down = red[:, -1] - red[:, 0], green[:, -1] - green[:, 0]
    assert (down > 0).all()
    assert (across > 0).any()
    assert (across < 0).any()
    assert (views[:, 0] - red[:, None, :]).abs().max() < 1e-5  # no rotation, no shear
    area = (across.abs() * down) / (across.abs() * down).max()
    assert area.min() > 0.15
    assert area.max() / area.min() > 2.5


def test_grey_views_have_equal_channels() -> None:
    view = Augmentation(grey_share=1)(_images(), _generator())
    assert torch.allclose(view[:, 0], view[:, 1], atol=1e-6)
    assert torch.allclose(view[:, 0], view[:, 2], atol=1e-6)


def test_hue_shift_keeps_luma_and_turns_the_hue() -> None:
    colour = torch.tensor([150, 110, 100], dtype=torch.uint8)  # mild, so that nothing is clamped
    images = colour[None, :, None, None].expand(200, 3, 32, 32)
    views = (Augmentation(jitter=0, hue=0.1, jitter_share=1, grey_share=0)(images, _generator()) + 1) / 2
    pixels = views[:, :, 0, 0]
    luma = pixels @ torch.tensor([0.299, 0.587, 0.114])
    assert luma.max() - luma.min() < 1e-4
    before = colorsys.rgb_to_hsv(*(colour / 255).tolist())[0]
    turns = [(colorsys.rgb_to_hsv(*pixel.tolist())[0] - before + 0.5) % 1 - 0.5 for pixel in pixels]
    assert min(turns) < -0.05
    assert max(turns) > 0.05
    assert max(abs(turn) for turn in turns) < 0.15


def test_plain_images_span_the_same_range() -> None:
    assert plain(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == pytest.approx([-1, 1])
