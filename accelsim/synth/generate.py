"""Operations with random masks of given densities, drawn one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from accelsim.errors import AccelsimError
from accelsim.synth.clustering import clustered_mask
from accelsim.synth.densities import TENSORS, Densities, read_densities
from accelsim.synth.networks import NETWORKS
from accelsim.synth.plan import Plan, plans_like, plans_of_layers, with_densities
from accelsim.synth.random_bits import RandomWords
from accelsim.synth.tensor_patterns import find_tensor_pattern, widened
from accelsim.synth.topology import Layer
from accelsim.synth.weight_patterns import find_weight_pattern
from accelsim.trace.bitmask import BitMask
from accelsim.trace.reader import TraceReader
from accelsim.trace.record import OpTrace

DEFAULT_BATCH = 32


@dataclass(frozen=True)
class SyntheticTrace:
    """Operations that exist while they are looked at: iterate as often as needed, the masks are the same each time.

    Attributes:
        plans: what the operations are, without masks; their order is that of iteration.
        seed: of the masks. A mask depends on it and on its layer's name, tensor, step and call, not on other layers; a
            weight's neither on step nor on call.
        activation_pattern, gradient_pattern: keys of `TENSOR_PATTERNS`.
        meta: all parameters, for a trace file's metadata.
    """

    plans: tuple[Plan, ...]
    seed: int
    activation_pattern: str
    gradient_pattern: str
    meta: dict[str, Any]

    def __len__(self) -> int:
        """Return the number of operations."""
        return len(self.plans)

    def __iter__(self) -> Iterator[OpTrace]:
        """Draw one operation after another; none is kept."""
        return map(self.draw, self.plans)

    def draw(self, plan: Plan) -> OpTrace:
        """Draw the masks of one operation; equal plans give equal masks."""
        weight = self._weight(plan)
        input_mask = self._input(plan)
        return OpTrace(
            **plan.facts(),
            weight=weight,
            input=input_mask,
            grad_output=self._output(plan, "grad_output", plan.gradient, self.gradient_pattern),
            output_needed=self._output(plan, "output_needed", plan.output_needed, "element"),
            input_grad_needed=self._needed(plan, "input_grad_needed", input_mask, plan.input_grad_extra),
            weight_grad_needed=self._needed(plan, "weight_grad_needed", weight, plan.weight_grad_extra),
        )

    def _words(self, plan: Plan, tensor: str) -> RandomWords:
        if tensor == "weight" and plan.kind != "matmul":
            return RandomWords(self.seed, tensor, plan.name)
        return RandomWords(self.seed, tensor, plan.name, plan.step, plan.call)

    def _weight(self, plan: Plan) -> BitMask:
        """Patterns see [C_out, C_in, R, S]; a transposed convolution keeps its weight as [C_in, C_out, R, S]."""
        pattern, words = find_weight_pattern(plan.pattern), self._words(plan, "weight")
        if plan.kind != "conv_transpose":
            return pattern.draw(plan.weight_shape, plan.weight, words)
        first, second, r, s = plan.weight_shape
        return BitMask.from_array(pattern.draw((second, first, r, s), plan.weight, words).to_array().swapaxes(0, 1))

    def _input(self, plan: Plan) -> BitMask:
        words = self._words(plan, "input")
        if self.activation_pattern == "element":
            return clustered_mask(plan.input_shape, plan.activation, plan.clustering, words)
        return find_tensor_pattern(self.activation_pattern)(plan.input_shape, plan.activation, words)

    def _output(self, plan: Plan, tensor: str, density: float | None, pattern: str) -> BitMask | None:
        if density is None or plan.output_shape is None:
            return None
        return find_tensor_pattern(pattern)(plan.output_shape, density, self._words(plan, tensor))

    def _needed(self, plan: Plan, tensor: str, mask: BitMask, extra: float | None) -> BitMask | None:
        if extra is None or mask.nonzeros == mask.size or plan.gradient is None:
            return None
        return widened(mask, extra, self._words(plan, tensor))


def synthesize(
    network: str | Iterable[Layer] | TraceReader,
    *,
    batch: int | None = None,
    weight_density: float | None = None,
    activation_density: float | None = None,
    gradient_density: float | None = None,
    densities: str | os.PathLike[str] | None = None,
    pattern: str = "element",
    activation_pattern: str = "element",
    activation_clustering: float | None = None,
    gradient_pattern: str = "element",
    relu: bool | None = None,
    sparse_weight_grad: bool | None = None,
    seed: int = 0,
) -> SyntheticTrace:
    """Make up the operations of training steps: shapes of a network, random masks of given densities.

    Args:
        network: a key of `NETWORKS`, layers (such as `read_topology` gives), or a recorded trace, whose shapes and
            densities, passes and calls are taken over operation by operation.
        batch: images a step, 32 by default; a recorded trace keeps its own.
        weight_density, activation_density, gradient_density: share of non-zeros in every layer. By default what the
            trace recorded; else 1, and for weights under N:M N/M. The data stay dense, see `Layer.reads_data`.
        densities: a file with densities by layer, which go before those above; see `read_densities`.
        pattern: of the weights' zeros, see `find_weight_pattern`; a layer's own `weight_pattern` goes before it.
        activation_pattern, gradient_pattern: keys of `TENSOR_PATTERNS`.
        activation_clustering: how much alike the elements of a plane (a channel of an image) are, from 0 to 1, see
            `accelsim.synth.clustering`; by default 0, or what was recorded of each input. Real ones have 0.4 to 0.8.
        relu: whether the input's zeros come from a ReLU, so that nobody needs the gradient there; by default what
            the layers or the recorded trace say.
        sparse_weight_grad: whether nobody needs the gradient of a zero weight; by default yes, or what was recorded.
        seed: of the masks.

    Raises:
        AccelsimError: unknown names, a density or clustering outside [0, 1], a density below what the pattern leaves, a
            densities file that cannot be used, a batch below 1 or beside a recorded trace, no layer.
        TraceError: the recorded trace is damaged.
    """
    given = {"weight": weight_density, "activation": activation_density, "gradient": gradient_density}
    wanted = Densities(
        everywhere={tensor: value for tensor in TENSORS if (value := given[tensor]) is not None},
        rules=() if densities is None else read_densities(densities),
    )
    for name in (activation_pattern, gradient_pattern):
        find_tensor_pattern(name)
    find_weight_pattern(pattern)
    if activation_clustering is not None and not 0 <= activation_clustering <= 1:
        raise AccelsimError(f"activation clustering is {activation_clustering}, expected a share from 0 to 1")
    if activation_clustering and activation_pattern != "element":
        raise AccelsimError(
            f"activations cannot cluster by {activation_clustering} and follow {activation_pattern}, too"
        )
    if isinstance(network, TraceReader):
        if batch is not None:
            raise AccelsimError(f"a batch of {batch} was given, but {network.path} has its own")
        source, images = network.path.name, None
        clustered = activation_clustering is None and activation_pattern == "element"
        plans = list(plans_like(network, pattern, clustered=clustered))
    else:
        images = DEFAULT_BATCH if batch is None else batch
        if images < 1:
            raise AccelsimError(f"the batch is {images}, expected at least 1")
        source = network if isinstance(network, str) else "layers"
        plans = list(plans_of_layers(_layers(network), images, pattern))
    if not plans:
        raise AccelsimError("no layer was given, expected one or more")
    wanted.check_names(plan.name for plan in plans)
    meta = {
        "synthetic": True,
        "network": source,
        "batch": images,
        "weight_density": weight_density,
        "activation_density": activation_density,
        "gradient_density": gradient_density,
        "densities": [{"layer": rule.layer, **rule.densities} for rule in wanted.rules],
        "pattern": pattern,
        "activation_pattern": activation_pattern,
        "activation_clustering": activation_clustering,
        "gradient_pattern": gradient_pattern,
        "relu": relu,
        "sparse_weight_grad": sparse_weight_grad,
        "seed": seed,
    }
    chosen = tuple(with_densities(plan, wanted, activation_clustering, relu, sparse_weight_grad) for plan in plans)
    return SyntheticTrace(chosen, seed, activation_pattern, gradient_pattern, meta)


def _layers(network: str | Iterable[Layer]) -> Iterable[Layer]:
    if not isinstance(network, str):
        return network
    if network not in NETWORKS:
        raise AccelsimError(f"unknown network {network!r}, expected one of {', '.join(NETWORKS)}")
    return NETWORKS[network]()
