"""Sixty-four PEs at a time: the scanning PE's inner loop as vector instructions.

Numba leaves loops over narrow numbers scalar (it widens integers to 64 bits), and they are where the time goes. These
intrinsics build the vector code themselves; LLVM fits it to whatever the processor has.

**State.** 64 PEs share a block of an unsigned integer array, as narrow as queue depth plus scan width allow, with six
vectors: `QUEUE` (pairs that wait), `OFFER` (pairs of the window looked at), `PAIRS`, `STARVED` and `WAITED` (sums since
the last `flush`: pairs, lanes without one, cycles that the scanner was blocked), `WANT` (all bits set where the PE has
an output to compute). Saturating subtraction is max(a - b, 0).

**Windows.** A window's bits lie in bytes, its planes. In each plane the inner operand has a byte for each inner PE, the
outer operand one for each outer PE. There are 8, 16, 32 or 64 inner PEs in a vector (`inner_log2` 3 to 6); if fewer
than 64, a vector holds several outer PEs, each beside all the inner ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 64
QUEUE, OFFER, PAIRS, STARVED, WAITED, WANT = (LANES * part for part in range(6))
BLOCK = LANES * 6
SUMS = LANES * 3  # PAIRS, STARVED, WAITED once more, in 32 bits
INNER_LOG2 = (3, 4, 5, 6)
_BYTE, _INDEX = ir.IntType(8), ir.IntType(64)


class _Code:
    """Builds vector instructions on one block of state, which starts at `start`."""

    def __init__(self, context: Any, builder: Any, array_type: Any, array: Any, start: Any) -> None:
        self.context, self.builder, self.width = context, builder, array_type.dtype.bitwidth
        self.vector = ir.VectorType(ir.IntType(self.width), LANES)
        self.zero = ir.Constant(self.vector, [0] * LANES)
        self._data = context.make_array(array_type)(context, builder, array).data
        self._start = start

    def _at(self, part: int) -> Any:
        index = self.builder.add(self._start, ir.Constant(self._start.type, part))
        return self.builder.bitcast(self.builder.gep(self._data, [index]), self.vector.as_pointer())

    def __getitem__(self, part: int) -> Any:
        return self.builder.load(self._at(part), align=self.width // 8)

    def __setitem__(self, part: int, value: Any) -> None:
        self.builder.store(value, self._at(part), align=self.width // 8)

    def over(self, left: Any, right: Any) -> Any:
        """max(left - right, 0)."""
        return _call(self.builder, "llvm.usub.sat", left, right)

    def pairs(self, windows: _Windows) -> Any:
        """Count the pairs of a window for the 64 PEs."""
        builder = self.builder
        total = cgutils.alloca_once(builder, self.vector)  # type: ignore[no-untyped-call]
        builder.store(self.zero, total)
        done = builder.append_basic_block("counted")
        blocks = [builder.append_basic_block(f"inner{2**size}") for size in INNER_LOG2]
        switch = builder.switch(windows.inner_log2, blocks[-1])
        for size, block in zip(INNER_LOG2, blocks, strict=True):
            switch.add_case(ir.Constant(windows.inner_log2.type, size), block)
            builder.position_at_end(block)
            with cgutils.for_range(builder, windows.planes) as loop:  # type: ignore[no-untyped-call]
                both = builder.and_(windows.outer(builder, loop.index, size), windows.inner(builder, loop.index, size))
                count = _call(builder, "llvm.ctpop", both)
                count = count if self.width == _BYTE.width else builder.zext(count, self.vector)
                builder.store(builder.add(builder.load(total), count), total)
            builder.branch(done)
        builder.position_at_end(done)
        return builder.and_(builder.load(total), self[WANT])

    def cycles_for(self, pairs: Any, lanes: Any) -> Any:
        """ceil(pairs / lanes), exact."""
        builder = self.builder
        result = cgutils.alloca_once(builder, self.vector)  # type: ignore[no-untyped-call]
        builder.store(pairs, result)
        several = builder.icmp_unsigned("!=", lanes, ir.Constant(lanes.type, 1))
        with builder.if_then(several, likely=False):
            builder.store(self._ceil_divided(pairs, lanes), result)
        return builder.load(result)

    def _ceil_divided(self, pairs: Any, lanes: Any) -> Any:
        builder = self.builder
        if self.width == 8:  # n · ceil(2^20 / L) >> 20 is exact for n < 510 and L < 256
            wide = ir.VectorType(ir.IntType(32), LANES)
            divisor = builder.zext(lanes, wide.element)
            less_one = builder.sub(divisor, ir.Constant(divisor.type, 1))
            magic = builder.udiv(builder.add(less_one, ir.Constant(divisor.type, 1 << 20)), divisor)
            rounded_up = builder.add(builder.zext(pairs, wide), _spread(builder, less_one))
            product = builder.mul(rounded_up, _spread(builder, magic))
            return builder.trunc(builder.lshr(product, ir.Constant(wide, [20] * LANES)), self.vector)
        real = ir.VectorType(ir.DoubleType(), LANES)  # exact: a quotient that is no integer misses one by 1 / L
        quotient = builder.fdiv(builder.uitofp(pairs, real), _spread(builder, builder.uitofp(lanes, real.element)))
        return builder.fptoui(_call(builder, "llvm.ceil", quotient), self.vector)

    def most_in_segment(self, value: Any, segment_log2: Any) -> Any:
        """Each lane's largest value among the 2^segment_log2 lanes of its segment."""
        builder = self.builder
        largest = cgutils.alloca_once(builder, self.vector)  # type: ignore[no-untyped-call]
        builder.store(value, largest)
        for stage in range(max(INNER_LOG2)):
            goes_on = builder.icmp_unsigned(">", segment_log2, ir.Constant(segment_log2.type, stage))
            with builder.if_then(goes_on):
                mine = builder.load(largest)
                partner = _shuffle(builder, mine, [lane ^ (1 << stage) for lane in range(LANES)])
                builder.store(_call(builder, "llvm.umax", mine, partner), largest)
        return builder.load(largest)

    def consume(self, offered: Any, drained: Any, lanes: Any) -> None:
        """Drain a stall's worth, push the offer, consume a cycle's worth."""
        builder = self.builder
        queue = builder.add(self.over(self[QUEUE], drained), offered)
        self[PAIRS] = builder.add(self[PAIRS], offered)
        self[STARVED] = builder.add(self[STARVED], self.over(lanes, queue))
        self[QUEUE] = self.over(queue, lanes)


class _Windows:
    """The window that a block looks at: arguments (outer, at, stride, inner, at, stride, inner_log2, planes)."""

    def __init__(self, context: Any, builder: Any, array_types: Any, arguments: Any) -> None:
        outer, self._outer_at, self._outer_stride, inner, self._inner_at, self._inner_stride = arguments[:6]
        self.inner_log2, self.planes = arguments[6:8]
        self._outer = context.make_array(array_types[0])(context, builder, outer).data
        self._inner = context.make_array(array_types[3])(context, builder, inner).data

    def outer(self, builder: Any, plane: Any, size_log2: int) -> Any:
        """Each outer PE's byte beside all its inner PEs."""
        few = _load(builder, self._outer, self._outer_at, self._outer_stride, plane, LANES >> size_log2)
        return _shuffle(builder, few, [lane >> size_log2 for lane in range(LANES)])

    def inner(self, builder: Any, plane: Any, size_log2: int) -> Any:
        """The inner PEs' bytes, again for each outer PE."""
        few = _load(builder, self._inner, self._inner_at, self._inner_stride, plane, 1 << size_log2)
        return _shuffle(builder, few, [lane % (1 << size_log2) for lane in range(LANES)])


def _load(builder: Any, data: Any, first: Any, stride: Any, plane: Any, count: int) -> Any:
    index = builder.add(first, builder.mul(stride, plane))
    pointer = builder.bitcast(builder.gep(data, [index]), ir.VectorType(_BYTE, count).as_pointer())
    return builder.load(pointer, align=1)


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """Call an LLVM intrinsic on vectors; a reduction returns one element."""
    vector = arguments[0].type
    result = vector.element if "reduce" in name else vector
    element = "f64" if isinstance(vector.element, ir.DoubleType) else f"i{vector.element.width}"
    signature = ir.FunctionType(result, [vector] * len(arguments))
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, signature, f"{name}.v{vector.count}{element}"
    )
    return builder.call(function, arguments)


def _shuffle(builder: Any, value: Any, lanes: list[int]) -> Any:
    """Pick lanes of one vector."""
    picks = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), picks)


def _spread(builder: Any, scalar: Any) -> Any:
    """Repeat a scalar in every lane."""
    nothing = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    return _shuffle(builder, builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0)), [0] * LANES)


def _window_types(outer: Any, inner: Any) -> tuple[Any, ...]:
    place = types.intp
    return outer, place, place, inner, place, place, place, place


@intrinsic
def _advance(
    typing_context: Any,
    state: Any,
    start: Any,
    outer: Any,
    outer_at: Any,
    outer_stride: Any,
    inner: Any,
    inner_at: Any,
    inner_stride: Any,
    inner_log2: Any,
    planes: Any,
    segment_log2: Any,
    depth: Any,
    lanes: Any,
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], arguments[1])
        offered = code.pairs(_Windows(context, builder, signature.args[2:], arguments[2:]))
        fullest = code.most_in_segment(builder.add(code[QUEUE], offered), arguments[10])
        stall = code.cycles_for(code.over(fullest, _spread(builder, arguments[11])), arguments[12])
        code[WAITED] = builder.add(code[WAITED], stall)
        lanes = _spread(builder, arguments[12])
        code.consume(offered, builder.mul(stall, lanes), lanes)
        return context.get_dummy_value()

    number = state.dtype
    return types.void(state, types.intp, *_window_types(outer, inner), types.intp, number, number), generate


@intrinsic
def _offer(
    typing_context: Any,
    state: Any,
    start: Any,
    outer: Any,
    outer_at: Any,
    outer_stride: Any,
    inner: Any,
    inner_at: Any,
    inner_stride: Any,
    inner_log2: Any,
    planes: Any,
    peak: Any,
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], arguments[1])
        offered = code.pairs(_Windows(context, builder, signature.args[2:], arguments[2:]))
        code[OFFER] = offered
        top = _Code(context, builder, signature.args[10], arguments[10], ir.Constant(_INDEX, 0))
        top[0] = _call(builder, "llvm.umax", top[0], builder.add(code[QUEUE], offered))
        return context.get_dummy_value()

    return types.void(state, types.intp, *_window_types(outer, inner), peak), generate


@intrinsic
def _settle(typing_context: Any, state: Any, start: Any, drained: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], arguments[1])
        code.consume(code[OFFER], _spread(builder, arguments[2]), _spread(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(state, types.intp, state.dtype, state.dtype), generate


@intrinsic
def _tally(typing_context: Any, state: Any, start: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], arguments[1])
        code[PAIRS] = builder.add(code[PAIRS], code[OFFER])
        return context.get_dummy_value()

    return types.void(state, types.intp), generate


@intrinsic
def _take_peak(typing_context: Any, peak: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], ir.Constant(_INDEX, 0))
        largest = _call(builder, "llvm.vector.reduce.umax", code[0])
        code[0] = code.zero
        return builder.zext(largest, _INDEX)

    return types.int64(peak), generate


@intrinsic
def _drain(typing_context: Any, state: Any, start: Any, segment_log2: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], arguments[1])
        left = code.most_in_segment(code[QUEUE], arguments[2])
        code[WAITED] = builder.add(code[WAITED], code.cycles_for(left, arguments[3]))
        return context.get_dummy_value()

    return types.void(state, types.intp, types.intp, state.dtype), generate


@intrinsic
def _clear(typing_context: Any, state: Any, start: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], arguments[1])
        for part in (QUEUE, OFFER, PAIRS, STARVED, WAITED):
            code[part] = code.zero
        return context.get_dummy_value()

    return types.void(state, types.intp), generate


@intrinsic
def _flush(typing_context: Any, state: Any, start: Any, sums: Any, sums_start: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature.args[0], arguments[0], arguments[1])
        wide = _Code(context, builder, signature.args[2], arguments[2], arguments[3])
        want = code[WANT]
        for place, part in enumerate((PAIRS, STARVED, WAITED)):
            narrow = builder.and_(code[part], want)
            grown = narrow if code.width == wide.width else builder.zext(narrow, wide.vector)
            wide[LANES * place] = builder.add(wide[LANES * place], grown)
            code[part] = code.zero
        return context.get_dummy_value()

    return types.void(state, types.intp, sums, types.intp), generate


advance = cast("Callable[..., None]", _advance)
"""advance(state, start, outer, outer_at, outer_stride, inner, inner_at, inner_stride, inner_log2, planes, segment_log2,
depth, lanes): one window for 64 PEs whose groups are segments of 2^segment_log2 neighbouring PEs.

A plane of the window starts at `outer[outer_at + outer_stride · plane]`, with as many bytes as the block has outer PEs,
and at `inner[inner_at + inner_stride · plane]`. Each group waits until its fullest queue takes its pairs; then its PEs
push and consume.
"""

offer = cast("Callable[..., None]", _offer)
"""offer(state, ..., planes, peak), the arguments between as above: count a window's pairs into `OFFER`, and raise
`peak` (64 numbers) to what the queues would hold."""

settle = cast("Callable[..., None]", _settle)
"""settle(state, start, drained, lanes): the scanner waited until `drained` pairs had left; push `OFFER`, consume."""

tally = cast("Callable[..., None]", _tally)
"""tally(state, start): add `OFFER` to `PAIRS`, and nothing else."""

take_peak = cast("Callable[..., int]", _take_peak)
"""take_peak(peak): return the largest of the 64 numbers, and make them 0."""

drain = cast("Callable[..., None]", _drain)
"""drain(state, start, segment_log2, lanes): add to `WAITED` the cycles until the group's fullest queue is empty."""

clear = cast("Callable[..., None]", _clear)
"""clear(state, start): empty all but `WANT`."""

flush = cast("Callable[..., None]", _flush)
"""flush(state, start, sums, sums_start): add the narrow sums of the PEs with an output to 3 x 64 wide ones (pairs,
starved, waited), and start them anew."""
