"""One operation before its masks are drawn: geometry, densities, and how zeros hang together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat

from accelsim.errors import AccelsimError
from accelsim.synth.clustering import clustering_of
from accelsim.synth.densities import Densities, Tensor
from accelsim.synth.topology import Layer, Shape
from accelsim.synth.weight_patterns import find_weight_pattern
from accelsim.trace.entry import MaskEntry
from accelsim.trace.reader import TraceReader
from accelsim.trace.record import Facts


@dataclass(kw_only=True)
class Plan(Facts):
    """An operation's facts, shapes, and the densities of its masks.

    Attributes:
        output_shape: None where no mask has it.
        macs: multiply-accumulates of the dense forward pass, see `OpTrace`.
        reads_data: its input is the data, so that a density for all layers leaves it dense.
        weight, activation, gradient: densities; no gradient where the operation runs forward only.
        clustering: of the input's zeros, see `accelsim.synth.clustering`.
        output_needed: density, None where all outputs are needed.
        input_grad_extra: share of the input's zeros whose gradient is needed all the same, 0 after a ReLU; None where
            all input gradients are needed.
        weight_grad_extra: the same of the weight's zeros.
        pattern: of the weight's zeros.
    """

    weight_shape: Shape
    input_shape: Shape
    output_shape: Shape | None
    macs: int
    reads_data: bool = False
    weight: float = 1.0
    activation: float = 1.0
    gradient: float | None = 1.0
    clustering: float = 0.0
    output_needed: float | None = None
    input_grad_extra: float | None = None
    weight_grad_extra: float | None = None
    pattern: str = "element"


def plans_of_layers(layers: Iterable[Layer], batch: int, pattern: str) -> Iterator[Plan]:
    """Plan one step of a network: dense, but for the zeros that its pattern always makes."""
    for position, layer in enumerate(layers):
        its_own = layer.weight_pattern or pattern
        least = find_weight_pattern(its_own).least
        yield Plan(
            name=layer.name,
            step=0,
            weight_shape=layer.weight_shape,
            input_shape=layer.input_shape(batch),
            output_shape=layer.output_shape(batch),
            macs=batch * layer.macs,
            order=position,
            stride=layer.stride,
            padding=layer.padding,
            groups=layer.groups,
            needs_input_grad=not layer.reads_data,
            reads_data=layer.reads_data,
            input_grad_extra=0.0 if layer.after_relu else None,
            weight_grad_extra=0.0,
            pattern=its_own,
            weight=least or 1.0,
        )


def plans_like(reader: TraceReader, pattern: str, *, clustered: bool) -> Iterator[Plan]:
    """Plan what was recorded: its shapes, its densities, and which gradients were needed.

    An input without a zero (the data, mostly) is one that a density for all layers leaves dense.

    Args:
        clustered: also how the inputs' zeros cluster, for which their masks are read.

    Raises:
        TraceError: a record is damaged.
    """
    clusterings = (clustering_of(op.masks["input"]) for op in reader) if clustered else repeat(0.0)
    for entry, clustering in zip(reader.entries, clusterings, strict=False):
        masks = entry.masks
        gradient, output_needed = masks.get("grad_output"), masks.get("output_needed")
        output = gradient or output_needed
        yield Plan(
            **entry.facts(),
            weight_shape=masks["weight"].shape,
            input_shape=masks["input"].shape,
            output_shape=None if output is None else output.shape,
            macs=entry.macs,
            reads_data=masks["input"].nonzeros == masks["input"].size,
            weight=masks["weight"].density,
            activation=masks["input"].density,
            gradient=None if gradient is None else gradient.density,
            clustering=clustering,
            output_needed=None if output_needed is None else output_needed.density,
            input_grad_extra=_extra(masks["input"], masks.get("input_grad_needed")),
            weight_grad_extra=_extra(masks["weight"], masks.get("weight_grad_needed")),
            pattern="element" if entry.kind == "matmul" else pattern,
        )


def with_densities(
    plan: Plan,
    densities: Densities,
    clustering: float | None = None,
    relu: bool | None = None,
    sparse_weight_grad: bool | None = None,
) -> Plan:
    """Return the plan with the densities that are given; what is not keeps the plan's own.

    A product of two activations, which has no weights, stays as it is.

    Args:
        clustering: of the inputs' zeros.
        relu: whether no gradient is needed where the input is zero; None keeps what the plan says.
        sparse_weight_grad: the same where the weight is.

    Raises:
        AccelsimError: a weight density below what its pattern leaves.
    """
    if plan.kind == "matmul":
        return plan

    def given(tensor: Tensor, otherwise: float) -> float:
        said = densities.of_rules(plan.name, tensor)
        if said is None and not (tensor == "activation" and plan.reads_data):
            said = densities.everywhere.get(tensor)
        return otherwise if said is None else said

    weight, least = given("weight", plan.weight), find_weight_pattern(plan.pattern).least
    if weight < least - 1e-9:
        raise AccelsimError(
            f"{plan.name}: a weight density of {weight:.4g} cannot be had, pattern {plan.pattern} leaves {least:.4g} at"
            f" least"
        )
    input_grad_extra, weight_grad_extra = plan.input_grad_extra, plan.weight_grad_extra
    if relu is not None:
        input_grad_extra = 0.0 if relu and not plan.reads_data else None
    if sparse_weight_grad is not None:
        weight_grad_extra = 0.0 if sparse_weight_grad else None
    return replace(
        plan,
        weight=weight,
        activation=given("activation", plan.activation),
        gradient=None if plan.gradient is None else given("gradient", plan.gradient),
        clustering=plan.clustering if clustering is None else clustering,
        input_grad_extra=input_grad_extra,
        weight_grad_extra=weight_grad_extra,
    )


def _extra(mask: MaskEntry, needed: MaskEntry | None) -> float | None:
    """Share of a mask's zeros that are needed nevertheless; None where everything is."""
    if needed is None:
        return None
    zeros = mask.size - mask.nonzeros
    return max(0, needed.nonzeros - mask.nonzeros) / zeros if zeros else 0.0
