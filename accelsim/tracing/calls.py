"""One forward call on its way to a record: packed at once, complete when its backward has run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from accelsim.trace.bitmask import BitMask
from accelsim.trace.record import OpTrace
from accelsim.tracing.operands import WEIGHT_FIRST, Geometry, Layout
from accelsim.tracing.products import Product


@dataclass
class Call:
    """A forward call; holds packed masks and no tensor.

    Attributes:
        name, step, call, order, recomputed, dtype, geometry: as in the record.
        operator, evaluation: which operation ran, and whether the model was in eval mode.
        layout: how to lay out the output's gradient, and whether the weight is the first operand.
        output_shape: of the result.
        product: recognises a product's backward; None for a convolution.
        input_grad_needed: only if the input came out of a ReLU.
        output_needed, weight_grad_needed: only where the method that trains has said so.
        backward_task: autograd's number of the backward pass that the gradients belong to, once it came here.
        expected: its gradients not seen yet, in the order in which they run: True is the first operand's.
        computed: gradients seen.
    """

    name: str
    step: int
    call: int
    order: int
    operator: Any
    evaluation: bool
    recomputed: bool
    dtype: str
    geometry: Geometry
    layout: Layout
    output_shape: tuple[int, ...]
    product: Product | None
    weight: BitMask
    input: BitMask
    input_grad_needed: BitMask | None
    output_needed: BitMask | None
    weight_grad_needed: BitMask | None
    grad_output: BitMask | None = None
    backward_task: int | None = None
    expected: list[bool] = field(default_factory=list)
    computed: set[bool] = field(default_factory=set)

    @property
    def needs_input_grad(self) -> bool:
        """Whether the input's gradient was computed."""
        return (self.layout not in WEIGHT_FIRST) in self.computed

    @property
    def needs_weight_grad(self) -> bool:
        """Whether the weight's gradient was computed."""
        return (self.layout in WEIGHT_FIRST) in self.computed

    def to_record(self) -> OpTrace:
        """Return the record; without a backward, forward only."""
        return OpTrace(
            name=self.name,
            step=self.step,
            call=self.call,
            order=self.order,
            **asdict(self.geometry),
            weight=self.weight,
            input=self.input,
            grad_output=self.grad_output,
            output_needed=self.output_needed,
            input_grad_needed=self.input_grad_needed if self.needs_input_grad else None,
            weight_grad_needed=self.weight_grad_needed if self.needs_weight_grad else None,
            needs_input_grad=self.needs_input_grad,
            needs_weight_grad=self.needs_weight_grad,
            recomputed=self.recomputed,
            dtype=self.dtype,
        )
