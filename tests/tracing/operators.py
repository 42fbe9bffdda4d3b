"""Every function of torch.nn.functional on small random inputs, and every module of torch.nn."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Inputs:
    """Draws a case's inputs; those of floating point are leaves that require gradients."""

    def __init__(self, dtype: torch.dtype, training: bool) -> None:
        self.dtype, self.training = dtype, training
        self.leaves: list[Tensor] = []

    def x(self, *shape: int) -> Tensor:
        leaf = torch.randn(shape).to(self.dtype).requires_grad_()
        self.leaves.append(leaf)
        return leaf

    def unit(self, *shape: int) -> Tensor:
        """Between 0 and 1, inclusive of neither."""
        leaf = (torch.rand(shape) * 0.8 + 0.1).to(self.dtype).requires_grad_()
        self.leaves.append(leaf)
        return leaf

    def fixed(self, *shape: int) -> Tensor:
        return torch.randn(shape).to(self.dtype)

    def signs(self, *shape: int) -> Tensor:
        return (torch.randint(2, shape) * 2 - 1).to(self.dtype)

    @staticmethod
    def classes(count: int, *shape: int) -> Tensor:
        return torch.randint(count, shape)


Case = Callable[[Inputs], Tensor | tuple[Tensor, ...]]

_IMAGE = (2, 4, 9, 11)


def _unpool(dims: int) -> Case:
    def case(i: Inputs) -> Tensor:
        pool, unpool = getattr(F, f"max_pool{dims}d"), getattr(F, f"max_unpool{dims}d")
        return unpool(*pool(i.x(2, 3, *[8] * dims), 2, return_indices=True), 2)

    return case


def _mean_and_variance(i: Inputs) -> dict[str, Tensor | None]:
    return {"running_mean": i.fixed(4).float(), "running_var": i.fixed(4).float().square() + 0.1}


def _attention(i: Inputs) -> tuple[Tensor, ...]:
    q, k, v = i.x(5, 2, 8), i.x(6, 2, 8), i.x(6, 2, 8)
    weights = i.x(24, 8), i.x(24), None, None, False, 0.2 * i.training, i.x(8, 8), i.x(8)
    return F.multi_head_attention_forward(q, k, v, 8, 2, *weights, training=i.training)


FUNCTIONS: dict[str, list[Case]] = {
    "conv1d": [lambda i: F.conv1d(i.x(2, 4, 9), i.x(6, 2, 3), i.x(6), 2, 1, 1, 2)],
    "conv2d": [
        lambda i: F.conv2d(i.x(*_IMAGE), i.x(6, 4, 3, 3), i.x(6), padding=1),
        lambda i: F.conv2d(i.x(*_IMAGE).to(memory_format=torch.channels_last), i.x(4, 1, 3, 3), groups=4),
        lambda i: F.conv2d(i.x(*_IMAGE), i.x(6, 4, 2, 2), padding="same"),
    ],
    "conv3d": [lambda i: F.conv3d(i.x(1, 2, 4, 5, 6), i.x(3, 2, 2, 2, 2))],
    "conv_transpose1d": [lambda i: F.conv_transpose1d(i.x(2, 4, 9), i.x(4, 3, 3), i.x(3), 2)],
    "conv_transpose2d": [lambda i: F.conv_transpose2d(i.x(*_IMAGE), i.x(4, 3, 3, 3), i.x(3), 2, 1, 1)],
    "conv_transpose3d": [lambda i: F.conv_transpose3d(i.x(1, 2, 4, 5, 6), i.x(2, 3, 2, 2, 2))],
    "conv_tbc": [lambda i: F.conv_tbc(i.x(9, 2, 4), i.x(3, 4, 6), i.x(6))],
    "avg_pool1d": [lambda i: F.avg_pool1d(i.x(2, 4, 9), 3, 2, 1)],
    "avg_pool2d": [lambda i: F.avg_pool2d(i.x(*_IMAGE), 3, 2, 1)],
    "avg_pool3d": [lambda i: F.avg_pool3d(i.x(1, 2, 4, 5, 6), 2)],
    "fractional_max_pool2d": [lambda i: F.fractional_max_pool2d(i.x(*_IMAGE), 2, output_ratio=(0.5, 0.4))],
    "fractional_max_pool2d_with_indices": [
        lambda i: F.fractional_max_pool2d_with_indices(i.x(*_IMAGE), 2, output_size=(3, 4))
    ],
    "fractional_max_pool3d": [lambda i: F.fractional_max_pool3d(i.x(1, 2, 6, 6, 6), 2, output_ratio=0.5)],
    "fractional_max_pool3d_with_indices": [
        lambda i: F.fractional_max_pool3d_with_indices(i.x(1, 2, 6, 6, 6), 2, output_size=(2, 3, 2))
    ],
    "max_pool1d": [lambda i: F.max_pool1d(i.x(2, 4, 9), 3, 2, 1)],
    "max_pool1d_with_indices": [lambda i: F.max_pool1d_with_indices(i.x(2, 4, 9), 3)],
    "max_pool2d": [lambda i: F.max_pool2d(i.x(*_IMAGE), 3, 2, 1)],
    "max_pool2d_with_indices": [lambda i: F.max_pool2d_with_indices(i.x(*_IMAGE), 3)],
    "max_pool3d": [lambda i: F.max_pool3d(i.x(1, 2, 4, 5, 6), 2)],
    "max_pool3d_with_indices": [lambda i: F.max_pool3d_with_indices(i.x(1, 2, 4, 5, 6), 2)],
    "max_unpool1d": [_unpool(1)],
    "max_unpool2d": [_unpool(2)],
    "max_unpool3d": [_unpool(3)],
    "lp_pool1d": [lambda i: F.lp_pool1d(i.unit(2, 4, 9), 2, 3)],
    "lp_pool2d": [lambda i: F.lp_pool2d(i.unit(*_IMAGE), 2, 3)],
    "lp_pool3d": [lambda i: F.lp_pool3d(i.unit(1, 2, 4, 5, 6), 2, 2)],
    "adaptive_max_pool1d": [lambda i: F.adaptive_max_pool1d(i.x(2, 4, 9), 4)],
    "adaptive_max_pool1d_with_indices": [lambda i: F.adaptive_max_pool1d_with_indices(i.x(2, 4, 9), 4)],
    "adaptive_max_pool2d": [lambda i: F.adaptive_max_pool2d(i.x(*_IMAGE), 4)],
    "adaptive_max_pool2d_with_indices": [lambda i: F.adaptive_max_pool2d_with_indices(i.x(*_IMAGE), 4)],
    "adaptive_max_pool3d": [lambda i: F.adaptive_max_pool3d(i.x(1, 2, 4, 5, 6), 2)],
    "adaptive_max_pool3d_with_indices": [lambda i: F.adaptive_max_pool3d_with_indices(i.x(1, 2, 4, 5, 6), 2)],
    "adaptive_avg_pool1d": [lambda i: F.adaptive_avg_pool1d(i.x(2, 4, 9), 4)],
    "adaptive_avg_pool2d": [
        lambda i: F.adaptive_avg_pool2d(i.x(*_IMAGE), 1),
        lambda i: F.adaptive_avg_pool2d(i.x(*_IMAGE), 4),
    ],
    "adaptive_avg_pool3d": [lambda i: F.adaptive_avg_pool3d(i.x(1, 2, 4, 5, 6), 2)],
    "dropout": [lambda i: F.dropout(i.x(9, 11), 0.3, i.training)],
    "alpha_dropout": [lambda i: F.alpha_dropout(i.x(9, 11), 0.3, i.training)],
    "dropout1d": [lambda i: F.dropout1d(i.x(2, 4, 9), 0.3, i.training)],
    "dropout2d": [lambda i: F.dropout2d(i.x(*_IMAGE), 0.3, i.training)],
    "dropout3d": [lambda i: F.dropout3d(i.x(1, 2, 4, 5, 6), 0.3, i.training)],
    "feature_alpha_dropout": [lambda i: F.feature_alpha_dropout(i.x(2, 4, 9), 0.3, i.training)],
    "threshold": [lambda i: F.threshold(i.x(9, 11), 0.1, 0.0)],
    "threshold_": [lambda i: F.threshold_(i.x(9, 11) * 1, 0.1, 0.0)],
    "relu": [lambda i: F.relu(i.x(9, 11)), lambda i: F.relu(i.x(9, 11) * 1, inplace=True)],
    "relu_": [lambda i: F.relu_(i.x(9, 11) * 1)],
    "glu": [lambda i: F.glu(i.x(9, 12))],
    "hardtanh": [lambda i: F.hardtanh(i.x(9, 11))],
    "hardtanh_": [lambda i: F.hardtanh_(i.x(9, 11) * 1, 0.0, 0.7)],
    "relu6": [lambda i: F.relu6(i.x(9, 11))],
    "elu": [lambda i: F.elu(i.x(9, 11))],
    "elu_": [lambda i: F.elu_(i.x(9, 11) * 1)],
    "selu": [lambda i: F.selu(i.x(9, 11))],
    "selu_": [lambda i: F.selu_(i.x(9, 11) * 1)],
    "celu": [lambda i: F.celu(i.x(9, 11), 0.7)],
    "celu_": [lambda i: F.celu_(i.x(9, 11) * 1, 0.7)],
    "leaky_relu": [lambda i: F.leaky_relu(i.x(9, 11))],
    "leaky_relu_": [lambda i: F.leaky_relu_(i.x(9, 11) * 1)],
    "prelu": [lambda i: F.prelu(i.x(2, 4, 9), i.x(4))],
    "rrelu": [lambda i: F.rrelu(i.x(9, 11), training=i.training)],
    "rrelu_": [lambda i: F.rrelu_(i.x(9, 11) * 1, training=i.training)],
    "logsigmoid": [lambda i: F.logsigmoid(i.x(9, 11))],
    "gelu": [lambda i: F.gelu(i.x(9, 11)), lambda i: F.gelu(i.x(9, 11), approximate="tanh")],
    "hardshrink": [lambda i: F.hardshrink(i.x(9, 11))],
    "tanhshrink": [lambda i: F.tanhshrink(i.x(9, 11))],
    "softsign": [lambda i: F.softsign(i.x(9, 11))],
    "softplus": [lambda i: F.softplus(i.x(9, 11))],
    "softmin": [lambda i: F.softmin(i.x(9, 11), -1)],
    "softmax": [lambda i: F.softmax(i.x(9, 11), -1), lambda i: F.softmax(i.x(9, 11), 0, dtype=torch.float32)],
    "gumbel_softmax": [lambda i: F.gumbel_softmax(i.x(9, 11)), lambda i: F.gumbel_softmax(i.x(9, 11), hard=True)],
    "log_softmax": [lambda i: F.log_softmax(i.x(9, 11), -1)],
    "softshrink": [lambda i: F.softshrink(i.x(9, 11))],
    "tanh": [lambda i: F.tanh(i.x(9, 11))],
    "sigmoid": [lambda i: F.sigmoid(i.x(9, 11))],
    "hardsigmoid": [lambda i: F.hardsigmoid(i.x(9, 11))],
    "linear": [
        lambda i: F.linear(i.x(5, 8), i.x(6, 8), i.x(6)),
        lambda i: F.linear(i.x(3, 5, 8).transpose(0, 1), i.x(6, 8), i.x(6)),
        lambda i: F.linear(i.x(3, 5, 8), i.x(6, 8)),
    ],
    "bilinear": [lambda i: F.bilinear(i.x(5, 8), i.x(5, 7), i.x(6, 8, 7), i.x(6))],
    "silu": [lambda i: F.silu(i.x(48, 128))],
    "mish": [lambda i: F.mish(i.x(48, 128))],
    "hardswish": [lambda i: F.hardswish(i.x(9, 11))],
    "embedding": [
        lambda i: F.embedding(i.classes(7, 3, 5), i.x(7, 4), padding_idx=2),
        lambda i: F.embedding(i.classes(7, 3, 5), i.x(7, 4) * 1, scale_grad_by_freq=True),
    ],
    "embedding_bag": [
        lambda i: F.embedding_bag(i.classes(7, 3, 5), i.x(7, 4), mode="sum"),
        lambda i: F.embedding_bag(i.classes(7, 3, 5), i.x(7, 4), mode="max"),
    ],
    "batch_norm": [
        lambda i: F.batch_norm(i.x(*_IMAGE), **_mean_and_variance(i), weight=i.x(4), bias=i.x(4), training=i.training)
    ],
    "instance_norm": [
        lambda i: F.instance_norm(i.x(*_IMAGE), **_mean_and_variance(i), use_input_stats=i.training),
    ],
    "layer_norm": [lambda i: F.layer_norm(i.x(5, 8), (8,), i.x(8), i.x(8))],
    "rms_norm": [lambda i: F.rms_norm(i.x(5, 8), (8,), i.x(8))],
    "group_norm": [lambda i: F.group_norm(i.x(*_IMAGE), 2, i.x(4), i.x(4))],
    "local_response_norm": [lambda i: F.local_response_norm(i.x(*_IMAGE), 2)],
    "ctc_loss": [lambda i: F.ctc_loss(i.x(9, 2, 5).float().log_softmax(-1), i.classes(4, 2, 3) + 1, (9, 8), (3, 2))],
    "nll_loss": [
        lambda i: F.nll_loss(i.x(5, 8).log_softmax(-1), i.classes(8, 5)),
        lambda i: F.nll_loss(i.x(2, 8, 3, 3).log_softmax(1), i.classes(8, 2, 3, 3), reduction="sum"),
    ],
    "poisson_nll_loss": [lambda i: F.poisson_nll_loss(i.x(9, 11), i.unit(9, 11), full=True)],
    "gaussian_nll_loss": [lambda i: F.gaussian_nll_loss(i.x(9, 11), i.x(9, 11), i.unit(9, 11))],
    "kl_div": [lambda i: F.kl_div(i.x(9, 11).log_softmax(-1), i.x(9, 11).softmax(-1), reduction="batchmean")],
    "cross_entropy": [
        lambda i: F.cross_entropy(i.x(5, 8), i.classes(8, 5), i.fixed(8).abs(), label_smoothing=0.1),
        lambda i: F.cross_entropy(i.x(5, 8), i.x(5, 8).softmax(-1)),
    ],
    "linear_cross_entropy": [lambda i: F.linear_cross_entropy(i.x(5, 8), i.x(7, 8), i.classes(7, 5))],
    "binary_cross_entropy": [lambda i: F.binary_cross_entropy(i.unit(9, 11), i.unit(9, 11))],
    "binary_cross_entropy_with_logits": [
        lambda i: F.binary_cross_entropy_with_logits(i.x(9, 11), i.unit(9, 11), pos_weight=i.fixed(11).abs())
    ],
    "smooth_l1_loss": [lambda i: F.smooth_l1_loss(i.x(9, 11), i.x(9, 11))],
    "huber_loss": [lambda i: F.huber_loss(i.x(9, 11), i.x(9, 11))],
    "l1_loss": [lambda i: F.l1_loss(i.x(9, 11), i.x(9, 11))],
    "mse_loss": [lambda i: F.mse_loss(i.x(9, 11), i.x(9, 11))],
    "margin_ranking_loss": [lambda i: F.margin_ranking_loss(i.x(9), i.x(9), i.signs(9), 0.1)],
    "hinge_embedding_loss": [lambda i: F.hinge_embedding_loss(i.x(9, 11), i.signs(9, 11))],
    "multilabel_margin_loss": [lambda i: F.multilabel_margin_loss(i.x(5, 8), torch.tensor([[3, 0, -1] + [1] * 5] * 5))],
    "soft_margin_loss": [lambda i: F.soft_margin_loss(i.x(9, 11), i.signs(9, 11))],
    "multilabel_soft_margin_loss": [lambda i: F.multilabel_soft_margin_loss(i.x(5, 8), i.unit(5, 8))],
    "cosine_embedding_loss": [lambda i: F.cosine_embedding_loss(i.x(9, 11), i.x(9, 11), i.signs(9))],
    "multi_margin_loss": [lambda i: F.multi_margin_loss(i.x(5, 8), i.classes(8, 5))],
    "pixel_shuffle": [lambda i: F.pixel_shuffle(i.x(2, 8, 3, 3), 2)],
    "pixel_unshuffle": [lambda i: F.pixel_unshuffle(i.x(2, 2, 6, 6), 2)],
    "channel_shuffle": [lambda i: F.channel_shuffle(i.x(*_IMAGE), 2)],
    "native_channel_shuffle": [lambda i: F.native_channel_shuffle(i.x(*_IMAGE), 2)],
    "upsample": [lambda i: F.upsample(i.x(*_IMAGE), scale_factor=2)],
    "interpolate": [
        lambda i: F.interpolate(i.x(2, 4, 9), scale_factor=1.7, mode="linear"),
        lambda i: F.interpolate(i.x(*_IMAGE), (7, 5), mode="bilinear", align_corners=True),
        lambda i: F.interpolate(i.x(*_IMAGE), (7, 5), mode="bilinear", antialias=True),
        lambda i: F.interpolate(i.x(*_IMAGE), scale_factor=2.3, mode="bicubic"),
        lambda i: F.interpolate(i.x(1, 2, 4, 5, 6), scale_factor=1.5, mode="trilinear"),
        lambda i: F.interpolate(i.x(*_IMAGE), (7, 5), mode="nearest-exact"),
        lambda i: F.interpolate(i.x(*_IMAGE), (7, 5), mode="area"),
    ],
    "upsample_nearest": [lambda i: F.upsample_nearest(i.x(*_IMAGE), scale_factor=2)],
    "upsample_bilinear": [lambda i: F.upsample_bilinear(i.x(*_IMAGE), scale_factor=2)],
    "grid_sample": [
        lambda i: F.grid_sample(i.x(*_IMAGE), i.x(2, 5, 5, 2), align_corners=False),
        lambda i: F.grid_sample(i.x(*_IMAGE), i.x(2, 5, 5, 2), "bicubic", "reflection", False),
        lambda i: F.grid_sample(i.x(*_IMAGE), i.x(2, 5, 5, 2), "nearest", "border", True),
    ],
    "affine_grid": [lambda i: F.affine_grid(i.x(2, 2, 3), [2, 3, 5, 5], align_corners=False)],
    "pad": [
        lambda i: F.pad(i.x(*_IMAGE), (1, 2, 0, 1), value=0.5),
        lambda i: F.pad(i.x(*_IMAGE), (1, 2, 0, 1), "reflect"),
        lambda i: F.pad(i.x(*_IMAGE), (1, 2, 0, 1), "replicate"),
        lambda i: F.pad(i.x(*_IMAGE), (1, 2, 0, 1), "circular"),
    ],
    "pairwise_distance": [lambda i: F.pairwise_distance(i.x(9, 11), i.x(9, 11))],
    "pdist": [lambda i: F.pdist(i.x(9, 11))],
    "cosine_similarity": [lambda i: F.cosine_similarity(i.x(9, 11), i.x(9, 11))],
    "one_hot": [lambda i: F.one_hot(i.classes(7, 5))],
    "triplet_margin_loss": [lambda i: F.triplet_margin_loss(i.x(9, 11), i.x(9, 11), i.x(9, 11), swap=True)],
    "triplet_margin_with_distance_loss": [
        lambda i: F.triplet_margin_with_distance_loss(i.x(9, 11), i.x(9, 11), i.x(9, 11))
    ],
    "normalize": [lambda i: F.normalize(i.x(9, 11))],
    "unfold": [lambda i: F.unfold(i.x(*_IMAGE), 3)],
    "fold": [lambda i: F.fold(i.x(2, 4 * 9, 7 * 9), (9, 11), 3)],
    "scaled_dot_product_attention": [
        lambda i: F.scaled_dot_product_attention(i.x(2, 2, 5, 8), i.x(2, 2, 6, 8), i.x(2, 2, 6, 8)),
        lambda i: F.scaled_dot_product_attention(i.x(2, 2, 5, 8), i.x(2, 2, 6, 8), i.x(2, 2, 6, 8), i.fixed(5, 6)),
        lambda i: F.scaled_dot_product_attention(
            i.x(2, 2, 5, 8), i.x(2, 2, 5, 8), i.x(2, 2, 5, 8), is_causal=True, dropout_p=0.2 * i.training
        ),
    ],
    "multi_head_attention_forward": [_attention],
    "grouped_mm": [
        lambda i: F.grouped_mm(i.x(2, 16, 16), i.x(2, 16, 16)),
        lambda i: F.grouped_mm(i.x(16, 16), i.x(2, 16, 16), offs=torch.tensor([5, 16], dtype=torch.int32)),
    ],
}

NOT_FOR_CPU = {"scaled_mm", "scaled_grouped_mm"}
"""Functions of fp8 tensors on recent GPUs, without a derivative."""

NO_OPERATIONS = {
    "assert_int_or_pair",
    "boolean_dispatch",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
}

_SIGNAL, _VOLUME = (2, 4, 9), (1, 2, 4, 5, 6)
_SHAPES = {1: _SIGNAL, 2: _IMAGE, 3: _VOLUME}

Call = Callable[[nn.Module, Inputs], Tensor | tuple[Tensor, ...]]
"""Runs a module on inputs that it draws."""


def _on(*shapes: tuple[int, ...]) -> Call:
    return lambda module, i: module(*(i.x(*shape) for shape in shapes))


def _with_classes(module: nn.Module, i: Inputs) -> Tensor:
    return module(i.x(5, 8).log_softmax(-1), i.classes(8, 5))


def _with_signs(module: nn.Module, i: Inputs) -> Tensor:
    return module(i.x(9, 11), i.signs(9, 11))


def _with_pairs_and_signs(module: nn.Module, i: Inputs) -> Tensor:
    return module(i.x(9, 11), i.x(9, 11), i.signs(9))


def _with_units(module: nn.Module, i: Inputs) -> Tensor:
    return module(i.unit(9, 11), i.unit(9, 11))


def _with_ids(module: nn.Module, i: Inputs) -> Tensor:
    return module(i.classes(7, 3, 5))


def _unpooling(dims: int) -> Call:
    pool = getattr(F, f"max_pool{dims}d")
    return lambda module, i: module(*pool(i.x(2, 3, *[8] * dims), 2, return_indices=True))


MODULES: dict[str, list[tuple[Callable[[], nn.Module], Call]]] = {
    **{
        name: [(getattr(nn, name), _on((9, 11)))]
        for name in (
            "AlphaDropout",
            "CELU",
            "Dropout",
            "ELU",
            "Flatten",
            "GELU",
            "Hardshrink",
            "Hardsigmoid",
            "Hardswish",
            "Hardtanh",
            "Identity",
            "LeakyReLU",
            "LogSigmoid",
            "Mish",
            "PReLU",
            "RReLU",
            "ReLU",
            "ReLU6",
            "SELU",
            "SiLU",
            "Sigmoid",
            "Softplus",
            "Softshrink",
            "Softsign",
            "Tanh",
            "Tanhshrink",
        )
    },
    **{
        name: [(lambda kind=name: getattr(nn, kind)(-1), _on((9, 12)))]
        for name in ("GLU", "LogSoftmax", "Softmax", "Softmin")
    },
    **{
        f"{name}{dims}d": [(lambda kind=f"{name}{dims}d", given=given: getattr(nn, kind)(*given), _on(shape))]
        for dims, shape in _SHAPES.items()
        for name, given in {
            "AdaptiveAvgPool": (2,),
            "AdaptiveMaxPool": (2,),
            "AvgPool": (2,),
            "BatchNorm": (shape[1],),
            "CircularPad": (1,),
            "ConstantPad": (1, 0.5),
            "Conv": (shape[1], 6, 3),
            "ConvTranspose": (shape[1], 6, 3, 2),
            "Dropout": (0.3,),
            "InstanceNorm": (shape[1], 1e-5, 0.1, True, True),
            "LazyBatchNorm": (),
            "LazyConv": (6, 3),
            "LazyConvTranspose": (6, 3),
            "LazyInstanceNorm": (),
            "MaxPool": (2,),
            "ReflectionPad": (1,),
            "ReplicationPad": (1,),
            "ZeroPad": (1,),
        }.items()
    },
    **{
        f"LPPool{dims}d": [
            (lambda kind=f"LPPool{dims}d": getattr(nn, kind)(2, 2), lambda m, i, shape=shape: m(i.unit(*shape)))
        ]
        for dims, shape in _SHAPES.items()
    },
    **{f"MaxUnpool{dims}d": [(lambda d=dims: getattr(nn, f"MaxUnpool{d}d")(2), _unpooling(dims))] for dims in _SHAPES},
    **{
        name: [(getattr(nn, name), _on((9, 11), (9, 11)))]
        for name in ("HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss", "PairwiseDistance", "CosineSimilarity")
    },
    **{
        name: [(getattr(nn, name), _with_units)]
        for name in ("BCELoss", "BCEWithLogitsLoss", "PoissonNLLLoss", "MultiLabelSoftMarginLoss")
    },
    **{
        name: [(getattr(nn, name), _with_classes)]
        for name in ("CrossEntropyLoss", "MultiMarginLoss", "NLLLoss", "NLLLoss2d")
    },
    **{name: [(getattr(nn, name), _with_signs)] for name in ("HingeEmbeddingLoss", "SoftMarginLoss")},
    **{
        name: [(getattr(nn, name), _on((9, 11), (9, 11), (9, 11)))]
        for name in ("TripletMarginLoss", "TripletMarginWithDistanceLoss")
    },
    "AdaptiveLogSoftmaxWithLoss": [
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [4, 8]), lambda m, i: m(i.x(5, 8), i.classes(12, 5)).loss)
    ],
    "Bilinear": [(lambda: nn.Bilinear(8, 7, 6), _on((5, 8), (5, 7)))],
    "CTCLoss": [
        (nn.CTCLoss, lambda m, i: m(i.x(9, 2, 5).float().log_softmax(-1), i.classes(4, 2, 3) + 1, (9, 8), (3, 2)))
    ],
    "ChannelShuffle": [(lambda: nn.ChannelShuffle(2), _on(_IMAGE))],
    "CosineEmbeddingLoss": [(nn.CosineEmbeddingLoss, _with_pairs_and_signs)],
    "CrossMapLRN2d": [(lambda: nn.CrossMapLRN2d(3), _on(_IMAGE))],
    "Embedding": [(lambda: nn.Embedding(7, 4), _with_ids), (lambda: nn.Embedding(7, 4, max_norm=1.0), _with_ids)],
    "EmbeddingBag": [(lambda: nn.EmbeddingBag(7, 4), _with_ids)],
    "FeatureAlphaDropout": [(nn.FeatureAlphaDropout, _on(_IMAGE))],
    "Fold": [(lambda: nn.Fold((9, 11), 3), _on((2, 4 * 9, 7 * 9)))],
    "FractionalMaxPool2d": [(lambda: nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.4)), _on(_IMAGE))],
    "FractionalMaxPool3d": [(lambda: nn.FractionalMaxPool3d(2, output_ratio=0.5), _on((1, 2, 6, 6, 6)))],
    "GRU": [(lambda: nn.GRU(8, 5, 2, dropout=0.3), lambda m, i: m(i.x(6, 3, 8))[0])],
    "GRUCell": [(lambda: nn.GRUCell(8, 5), _on((3, 8)))],
    "GaussianNLLLoss": [(nn.GaussianNLLLoss, lambda m, i: m(i.x(9, 11), i.x(9, 11), i.unit(9, 11)))],
    "GroupNorm": [(lambda: nn.GroupNorm(2, 4), _on(_IMAGE))],
    "KLDivLoss": [(nn.KLDivLoss, lambda m, i: m(i.x(9, 11).log_softmax(-1), i.x(9, 11).softmax(-1)))],
    "LSTM": [(lambda: nn.LSTM(8, 5, bidirectional=True, proj_size=3), lambda m, i: m(i.x(6, 3, 8))[0])],
    "LSTMCell": [(lambda: nn.LSTMCell(8, 5), _on((3, 8)))],
    "LayerNorm": [(lambda: nn.LayerNorm(8), _on((5, 8)))],
    "LazyLinear": [(lambda: nn.LazyLinear(6), _on((5, 8)))],
    "Linear": [(lambda: nn.Linear(8, 6), _on((3, 5, 8)))],
    "LinearCrossEntropyLoss": [(lambda: nn.LinearCrossEntropyLoss(8, 7), lambda m, i: m(i.x(5, 8), i.classes(7, 5)))],
    "LocalResponseNorm": [(lambda: nn.LocalResponseNorm(2), _on(_IMAGE))],
    "MarginRankingLoss": [(nn.MarginRankingLoss, lambda m, i: m(i.x(9), i.x(9), i.signs(9)))],
    "MultiLabelMarginLoss": [
        (nn.MultiLabelMarginLoss, lambda m, i: m(i.x(5, 8), torch.tensor([[3, 0, -1, 1, 1, 1, 1, 1]] * 5)))
    ],
    "MultiheadAttention": [
        (lambda: nn.MultiheadAttention(8, 2, 0.1), _on((5, 2, 8), (6, 2, 8), (6, 2, 8))),
        (
            lambda: nn.MultiheadAttention(8, 2, batch_first=True),
            lambda m, i: m(*[i.x(2, 5, 8)] * 3, need_weights=False)[0],
        ),
    ],
    "PixelShuffle": [(lambda: nn.PixelShuffle(2), _on(_IMAGE))],
    "PixelUnshuffle": [(lambda: nn.PixelUnshuffle(2), _on((2, 2, 6, 6)))],
    "RMSNorm": [(lambda: nn.RMSNorm(8), _on((5, 8)))],
    "RNN": [(lambda: nn.RNN(8, 5), lambda m, i: m(i.x(6, 3, 8))[0])],
    "RNNCell": [(lambda: nn.RNNCell(8, 5), _on((3, 8)))],
    "Softmax2d": [(nn.Softmax2d, _on(_IMAGE))],
    "Threshold": [(lambda: nn.Threshold(0.1, 0.0), _on((9, 11)))],
    "Transformer": [(lambda: nn.Transformer(8, 2, 1, 1, 16), _on((5, 2, 8), (6, 2, 8)))],
    "TransformerDecoder": [
        (lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2), _on((5, 2, 8), (6, 2, 8)))
    ],
    "TransformerDecoderLayer": [
        (lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True, norm_first=True), _on((2, 5, 8), (2, 6, 8)))
    ],
    "TransformerEncoder": [
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
            lambda m, i: m(i.x(2, 5, 8), src_key_padding_mask=torch.arange(5) >= torch.tensor([[5], [3]])),
        )
    ],
    "TransformerEncoderLayer": [(lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), _on((2, 5, 8)))],
    "Unflatten": [(lambda: nn.Unflatten(1, (3, 4)), _on((9, 12)))],
    "Unfold": [(lambda: nn.Unfold(3), _on(_IMAGE))],
    "Upsample": [(lambda: nn.Upsample(scale_factor=2, mode="bicubic"), _on(_IMAGE))],
    "UpsamplingBilinear2d": [(lambda: nn.UpsamplingBilinear2d((7, 5)), _on(_IMAGE))],
    "UpsamplingNearest2d": [(lambda: nn.UpsamplingNearest2d((7, 5)), _on(_IMAGE))],
}

NO_LAYERS = {
    *("Container", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "RNNBase", "RNNCellBase"),
    "Sequential",
    "DataParallel",  # refused where there are several devices
    "SyncBatchNorm",  # for GPUs
}


def public_modules() -> set[str]:
    """Names of what torch.nn offers."""
    return {name for name, value in vars(nn).items() if inspect.isclass(value) and issubclass(value, nn.Module)}


def public_functions() -> set[str]:
    """Names of what torch.nn.functional offers."""
    return {name for name, value in vars(F).items() if not name.startswith("_") and inspect.isroutine(value)}
