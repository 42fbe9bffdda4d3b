"""The queues of sixteen PEs at a time, as vector instructions.

Numba leaves loops over 16-bit numbers scalar (it widens integers to 64 bits), and they are where the time goes. These
intrinsics build the vector code themselves; LLVM fits it to whatever the processor has.

The state of sixteen neighbouring PEs is one block of `BLOCK` numbers in a signed integer array: `QUEUE` (pairs that
wait), `OFFER` (pairs of the window looked at), `PAIRS` and `STARVED` (sums), `WAITED` (stall cycles, for PEs with scan
pointers of their own), `WANT` (all bits set where the PE has an output to compute).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
QUEUE, OFFER, PAIRS, STARVED, WAITED, WANT = (LANES * part for part in range(6))
BLOCK = LANES * 6


class _Block:
    """Builds vector instructions on one block of state."""

    def __init__(self, context: Any, builder: Any, array_type: Any, array: Any, start: Any) -> None:
        self.builder = builder
        self.vector = ir.VectorType(ir.IntType(array_type.dtype.bitwidth), LANES)
        self.zero = ir.Constant(self.vector, [0] * LANES)
        self._data = context.make_array(array_type)(context, builder, array).data
        self._start = start
        self._align = array_type.dtype.bitwidth // 8

    def _at(self, part: int) -> Any:
        index = self.builder.add(self._start, ir.Constant(self._start.type, part))
        return self.builder.bitcast(self.builder.gep(self._data, [index]), self.vector.as_pointer())

    def __getitem__(self, part: int) -> Any:
        return self.builder.load(self._at(part), align=self._align)

    def __setitem__(self, part: int, value: Any) -> None:
        self.builder.store(value, self._at(part), align=self._align)

    def most(self, left: Any, right: Any) -> Any:
        return _call(self.builder, "llvm.smax", left, right)


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """Call an LLVM intrinsic on vectors; a reduction returns one element."""
    vector = arguments[0].type
    result = vector.element if "reduce" in name else vector
    element = "f32" if isinstance(vector.element, ir.FloatType) else f"i{vector.element.width}"
    signature = ir.FunctionType(result, [vector] * len(arguments))
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, signature, f"{name}.v{LANES}{element}"
    )
    return builder.call(function, arguments)


def _spread(builder: Any, scalar: Any) -> Any:
    """Repeat a scalar in every lane."""
    nothing = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    one = builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _resize(builder: Any, value: Any, vector: Any) -> Any:
    if value.type.element.width > vector.element.width:
        return builder.trunc(value, vector)
    return builder.zext(value, vector) if value.type.element.width < vector.element.width else value


def _offer(more: bool) -> Callable[..., Any]:
    def typed(typing_context: Any, state: Any, start: Any, bits: Any, inner: Any, inner_start: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            state_type, _, bits_type, inner_type, _ = signature.args
            block = _Block(context, builder, state_type, arguments[0], arguments[1])
            window = ir.VectorType(ir.IntType(bits_type.bitwidth), LANES)
            data = context.make_array(inner_type)(context, builder, arguments[3]).data
            pointer = builder.bitcast(builder.gep(data, [arguments[4]]), window.as_pointer())
            shown = builder.load(pointer, align=bits_type.bitwidth // 8)
            count = _call(builder, "llvm.ctpop", builder.and_(shown, _spread(builder, arguments[2])))
            offer = builder.and_(_resize(builder, count, block.vector), block[WANT])
            if more:
                offer = builder.add(offer, block[OFFER])
            block[OFFER] = offer
            return _call(builder, "llvm.vector.reduce.smax", builder.add(block[QUEUE], offer))

        return state.dtype(state, types.intp, bits, inner, types.intp), generate

    return typed


offer = cast("Callable[..., int]", intrinsic(_offer(more=False)))
"""offer(state, start, bits, inner, inner_start): count the pairs that a window offers to sixteen PEs.

`bits` is the window's word of the operand that they share, `inner[inner_start : inner_start + 16]` are the others'.
Returns the fullest queue if they are all pushed.
"""

offer_more = cast("Callable[..., int]", intrinsic(_offer(more=True)))
"""The same for a further word of the same window."""


@intrinsic
def _settle(typing_context: Any, state: Any, start: Any, drained: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _Block(context, builder, signature.args[0], arguments[0], arguments[1])
        _push_and_consume(block, _spread(builder, arguments[2]), _spread(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(state, types.intp, state.dtype, state.dtype), generate


@intrinsic
def _settle_alone(typing_context: Any, state: Any, start: Any, depth: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _Block(context, builder, signature.args[0], arguments[0], arguments[1])
        lanes = _spread(builder, arguments[3])
        too_many = builder.sub(builder.add(block[QUEUE], block[OFFER]), _spread(builder, arguments[2]))
        # ceil(x / L) in single precision is exact: x < 2^24, and a quotient that is no integer misses one by 1 / L.
        real = ir.VectorType(ir.FloatType(), LANES)
        quotient = builder.fdiv(builder.sitofp(block.most(too_many, block.zero), real), builder.sitofp(lanes, real))
        stall = builder.fptosi(_call(builder, "llvm.ceil", quotient), block.vector)
        block[WAITED] = builder.add(block[WAITED], stall)
        _push_and_consume(block, builder.mul(stall, lanes), lanes)
        return context.get_dummy_value()

    return types.void(state, types.intp, state.dtype, state.dtype), generate


def _push_and_consume(block: _Block, drained: Any, lanes: Any) -> None:
    """Drain a stall's worth, push the offer, consume a cycle's worth."""
    builder = block.builder
    offered = block[OFFER]
    left = block.most(builder.sub(block[QUEUE], drained), block.zero)
    after = builder.sub(builder.add(left, offered), lanes)
    block[PAIRS] = builder.add(block[PAIRS], offered)
    block[STARVED] = builder.add(block[STARVED], block.most(builder.sub(block.zero, after), block.zero))
    block[QUEUE] = block.most(after, block.zero)


@intrinsic
def _clear(typing_context: Any, state: Any, start: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _Block(context, builder, signature.args[0], arguments[0], arguments[1])
        for part in (QUEUE, OFFER, PAIRS, STARVED, WAITED):
            block[part] = block.zero
        return context.get_dummy_value()

    return types.void(state, types.intp), generate


def _take_sum(part: int) -> Callable[..., Any]:
    def typed(typing_context: Any, state: Any, start: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            block = _Block(context, builder, signature.args[0], arguments[0], arguments[1])
            wanted = builder.and_(block[part], block[WANT])
            block[part] = block.zero
            wide = ir.VectorType(ir.IntType(64), LANES)
            return _call(builder, "llvm.vector.reduce.add", builder.sext(wanted, wide))

        return types.int64(state, types.intp), generate

    return typed


settle = cast("Callable[..., None]", _settle)
"""settle(state, start, drained, lanes): the scanner waited until `drained` pairs had left; push the offer, consume."""

settle_alone = cast("Callable[..., None]", _settle_alone)
"""settle_alone(state, start, depth, lanes): the same, where each PE waits for its own queue only."""

clear = cast("Callable[..., None]", _clear)
"""clear(state, start): empty all but `WANT`."""

take_pairs = cast("Callable[..., int]", intrinsic(_take_sum(PAIRS)))
"""take_pairs(state, start): return the pairs of the PEs with an output, summed, and start the sum anew."""

take_starved = cast("Callable[..., int]", intrinsic(_take_sum(STARVED)))
"""The same for starved lanes."""
