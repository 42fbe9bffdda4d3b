"""Machine code for a block of scanning PEs: all windows of a tile in one loop, queues in vector registers.

Numba leaves loops over narrow numbers scalar, and a loop that keeps its state in memory spends more on storing it than
on counting pairs. So the loop is built here as LLVM code for one shape of block at a time and compiled in hundredths of
a second; LLVM fits it to whatever the processor has.

**Lanes.** A block is a rectangle of PEs: `groups` of one operand (rows, or columns under `column` sync) by members of
the other. Each of its vectors has 64 lanes, lane `m · groups + g` is member m of group g; further vectors hold further
members, and behind all members of these groups come those of the next ones (`stacks`). So a group's PEs lie at equal
places of all its vectors, and its fullest queue takes one maximum a vector and a few shuffles for the whole block.

**Windows** lie in bytes, their planes (see `windows.cut_planes`): a plane holds a byte for each group, and one for each
member.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, Literal

from llvmlite import binding, ir

LANES = 64
_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)

Sync = Literal["alone", "group", "together"]


@dataclass(frozen=True)
class Block:
    """The shape of a block, and what its PEs do.

    Attributes:
        groups: PEs of the operand along which groups are counted, a power of two up to 64.
        stacks: so many times `groups`; several only where all of a tile share a scan pointer.
        vectors: of one stack. Four have queues, sums and a window's pairs in the 32 registers of AVX-512; more spill.
        span: members that belong to one tile: all of them, or a power of two below.
        sync: whether each PE has its own scan pointer, or the PEs of a group, or all of a tile.
        planes: bytes of a window.
        depth, lanes: pairs that a queue holds, and those that a PE consumes a cycle.
        limit: windows after which narrow sums must be emptied.
        each: whether pairs and starved lanes are counted for each PE, and only some PEs have an output.
        bits: of a queue's counter, 8 or 32.
        gathered: whether all groups see the same, and each lane says by a number which of 64 members it stands for;
            only with `each`, 8 bits, and where `can_gather`.
    """

    groups: int
    stacks: int
    vectors: int
    span: int
    sync: Sync
    planes: int
    depth: int
    lanes: int
    limit: int
    each: bool
    bits: int
    gathered: bool = False

    @property
    def vector_members(self) -> int:
        """Members in one vector."""
        return LANES // self.groups

    @property
    def members(self) -> int:
        """Members in the block."""
        return self.vectors * self.vector_members

    @property
    def all_vectors(self) -> int:
        """Vectors of all stacks."""
        return self.stacks * self.vectors

    @property
    def pointer_vectors(self) -> int:
        """Vectors of scan pointers: vectors that belong to the same tiles share one."""
        if self.sync == "alone":
            return self.all_vectors
        return 1 if self.span == self.members else self.members // max(self.span, self.vector_members)

    @property
    def starved_at(self) -> int:
        """Where the starved lanes stand in the output: of each PE, or summed over every eight lanes."""
        return self.pointer_vectors * LANES

    @property
    def pairs_at(self) -> int:
        """Where the pairs stand in the output: of each PE, if counted."""
        return self.starved_at + self.all_vectors * (LANES if self.each else LANES // 8)

    @property
    def outputs(self) -> int:
        """Numbers in the output, uint32: the cycle in which each lane's group ended, starved lanes, pairs."""
        return self.pairs_at + (self.all_vectors * LANES if self.each else 0)


@dataclass(frozen=True, eq=False)
class BlockCode:
    """Machine code of a block; it is there as long as this object, so keep it while the code runs.

    Attributes:
        address: of the function, see `compile_block`.
        engine: owns the memory that the code lies in.
    """

    address: int
    engine: Any = field(repr=False)


@lru_cache(maxsize=256)
def compile_block(block: Block) -> BlockCode:
    """Compile a block, or return the code of an equal one that was used lately.

    The code is a C function of eight 64-bit integers: addresses of the groups' planes, bytes from plane to plane, the
    same of the members, address and number of the windows to scan (int64, indices), address of the wanted PEs' masks
    (`each`: `bits` a lane, all set where the PE has an output; after them, `gathered`, a byte a lane with its member's
    number), address of the output (uint32, see `Block`). If gathered, a plane holds one byte for all groups, and 64
    members'.
    """
    with _COMPILING:
        module = binding.parse_assembly(str(_Writer(block).module))
        module.verify()
        engine = binding.create_mcjit_compiler(module, _target())
        engine.finalize_object()
        return BlockCode(int(engine.get_function_address(_NAME)), engine)


def can_gather() -> bool:
    """Whether the processor has an instruction that picks bytes of a vector by number."""
    return bool(binding.get_host_cpu_features().get("avx512vbmi", False))


_NAME = "scan_block"
_COMPILING = threading.Lock()


def _target() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = binding.get_host_cpu_features().flatten()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3
    )


class _Writer:
    """Writes the code of one block: a loop over stretches of `limit` windows around a loop over windows."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.vector = ir.VectorType(ir.IntType(block.bits), LANES)
        self.zero = self._all(0)
        self.module = ir.Module(name=_NAME)
        self.module.triple = binding.get_default_triple()
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [_I64] * 8), _NAME)
        self.arguments = function.args
        entry, stretch, window, flush, drain = (
            function.append_basic_block(name) for name in ("entry", "stretch", "window", "flush", "drain")
        )
        self.b = ir.IRBuilder(entry)
        self.out = self.b.inttoptr(function.args[7], _I32.as_pointer())
        self._clear_output()
        count = function.args[5]
        self.b.cbranch(self.b.icmp_signed(">", count, _I64(0)), stretch, drain)

        self.b.position_at_end(stretch)
        begin = self._phi(_I64, _I64(0), entry)
        queues = [self._phi(self.vector, self.zero, entry) for _ in range(block.all_vectors)]
        left = self.b.sub(count, begin)
        limit = _I64(block.limit)
        stop = self.b.add(begin, self.b.select(self.b.icmp_signed("<", left, limit), left, limit))
        self.b.branch(window)

        self.b.position_at_end(window)
        index = self._phi(_I64, begin, stretch)
        old = [self._phi(self.vector, queue, stretch) for queue in queues]
        sums = [[self._phi(self.vector, self.zero, stretch) for _ in range(n)] for n in self._sums]
        new, grown = self._window(index, old, sums)
        following = self.b.add(index, _I64(1))
        index.add_incoming(following, window)
        for before, after in zip([*old, *chain(*sums)], [*new, *chain(*grown)], strict=True):
            before.add_incoming(after, window)
        self.b.cbranch(self.b.icmp_signed("<", following, stop), window, flush)

        self.b.position_at_end(flush)
        self._flush(*grown)
        begin.add_incoming(stop, flush)
        for before, after in zip(queues, new, strict=True):
            before.add_incoming(after, flush)
        self.b.cbranch(self.b.icmp_signed("<", stop, count), stretch, drain)

        self.b.position_at_end(drain)
        last = []
        for after in new:
            held = self.b.phi(self.vector)
            held.add_incoming(self.zero, entry)
            held.add_incoming(after, flush)
            last.append(held)
        self._end(last, self.b.trunc(count, _I32))
        self.b.ret_void()

    @property
    def _sums(self) -> tuple[int, int, int]:
        """Vectors of cycles waited, lanes starved, and pairs."""
        block = self.block
        return block.pointer_vectors, block.all_vectors, block.all_vectors if block.each else 0

    def _window(self, index: Any, queues: list[Any], sums: list[list[Any]]) -> tuple[list[Any], list[list[Any]]]:
        """Scan one window: each group waits until its fullest queue takes its pairs; then they push and consume."""
        b, block = self.b, self.block
        waited, starved, pairs = sums
        windows = b.inttoptr(self.arguments[4], _I64.as_pointer())
        offers = self._pairs(b.mul(b.load(b.gep(windows, [index])), _I64(block.planes)))
        fullest = self._fullest([b.add(queue, offer) for queue, offer in zip(queues, offers, strict=True)])
        stalls = [self._cycles_for(self._over(most, self._all(block.depth))) for most in fullest]
        drained = stalls if block.lanes == 1 else [b.mul(stall, self._all(block.lanes)) for stall in stalls]
        lanes = self._all(block.lanes)
        filled = [
            b.add(self._over(queue, drained[self._pointer(v)]), offer)
            for v, (queue, offer) in enumerate(zip(queues, offers, strict=True))
        ]
        return [self._over(queue, lanes) for queue in filled], [
            [b.add(total, stall) for total, stall in zip(waited, stalls, strict=True)],
            [b.add(total, self._over(lanes, queue)) for total, queue in zip(starved, filled, strict=True)],
            [b.add(total, offer) for total, offer in zip(pairs, offers, strict=bool(pairs))],
        ]

    def _pairs(self, plane: Any) -> list[Any]:
        """Count the pairs of a window for each PE."""
        b, block = self.b, self.block
        if block.gathered:
            return self._gathered_pairs(plane)
        groups, members = (b.inttoptr(self.arguments[at], _I8.as_pointer()) for at in (0, 2))
        totals: list[Any] = [None] * block.all_vectors
        each = block.vector_members
        for i in range(block.planes):
            at = b.add(plane, _I64(i))
            column = b.gep(groups, [b.mul(at, self.arguments[1])])
            mine = [self._repeat(b.gep(column, [_I64(s * block.groups)]), block.groups) for s in range(block.stacks)]
            row = b.gep(members, [b.mul(at, self.arguments[3])])
            for v in range(block.vectors):
                theirs = self._repeat(b.gep(row, [_I64(v * each)]), each)
                if block.groups > 1:  # each member beside all groups; shuffles within 16 bytes are the cheap ones
                    lanes = [lane // block.groups for lane in range(LANES)]
                    theirs = self._shuffle(
                        theirs, [lane // 16 * 16 + m if each <= 16 else m for lane, m in enumerate(lanes)]
                    )
                for stack, planes in enumerate(mine):
                    count = self._call("llvm.ctpop", b.and_(planes, theirs))
                    if block.bits != 8:
                        count = b.zext(count, self.vector)
                    place = stack * block.vectors + v
                    totals[place] = count if totals[place] is None else b.add(totals[place], count)
        if block.each:
            totals = [b.and_(total, self._wanted(v)) for v, total in enumerate(totals)]
        return totals

    def _gathered_pairs(self, plane: Any) -> list[Any]:
        """Count the pairs of a window for each member, and deal them to the PEs that stand for it."""
        b, block = self.b, self.block
        groups, members = (b.inttoptr(self.arguments[at], _I8.as_pointer()) for at in (0, 2))
        total = self.zero
        for i in range(block.planes):
            at = b.add(plane, _I64(i))
            ours = self._repeat(b.gep(groups, [b.mul(at, self.arguments[1])]), 1)
            theirs = self._repeat(b.gep(members, [b.mul(at, self.arguments[3])]), LANES)
            total = b.add(total, self._call("llvm.ctpop", b.and_(ours, theirs)))
        name, kind = "llvm.x86.avx512.permvar.qi.512", ir.FunctionType(self.vector, [self.vector] * 2)
        pick = self.module.globals.get(name) or ir.Function(self.module, kind, name)
        vectors = range(block.all_vectors)
        numbers = [self._wanted(block.all_vectors + v) for v in vectors]
        return [b.and_(b.call(pick, [total, numbers[v]]), self._wanted(v)) for v in vectors]

    def _wanted(self, v: int) -> Any:
        masks = self.b.inttoptr(self.arguments[6], self.vector.as_pointer())
        return self.b.load(self.b.gep(masks, [_I64(v)]), align=1)

    def _pointer(self, v: int) -> int:
        """Which pointer vector serves a vector."""
        return v * self.block.pointer_vectors // self.block.all_vectors

    def _fullest(self, queues: list[Any]) -> list[Any]:
        """Return, for each pointer vector, the largest value among the PEs that share a scan pointer."""
        block = self.block
        if block.sync == "alone":
            return queues
        parts: list[list[Any]] = [[] for _ in range(block.pointer_vectors)]
        for v, queue in enumerate(queues):
            parts[self._pointer(v)].append(queue)
        span = min(block.span, block.vector_members)
        steps = [block.groups << i for i in range(span.bit_length() - 1)]
        if block.sync == "together":
            steps += [1 << i for i in range(block.groups.bit_length() - 1)]
        found = []
        for part in parts:
            rest = part
            while len(rest) > 1:  # two by two, so that no long chain makes the next window wait
                paired = [self._call("llvm.umax", *rest[i : i + 2]) for i in range(0, len(rest) - 1, 2)]
                rest = paired + rest[len(paired) * 2 :]
            most = rest[0]
            for step in steps:
                most = self._call("llvm.umax", most, self._shuffle(most, [lane ^ step for lane in range(LANES)]))
            found.append(most)
        return found

    def _cycles_for(self, pairs: Any) -> Any:
        """ceil(pairs / lanes), exact."""
        b, lanes = self.b, self.block.lanes
        if lanes == 1:
            return pairs
        if lanes & (lanes - 1) == 0:
            return b.lshr(b.add(pairs, self._all(lanes - 1)), self._all(lanes.bit_length() - 1))
        if self.block.bits == 8:  # n · ceil(2^20 / L) >> 20 is exact for n < 510 and L < 256
            wide = ir.VectorType(_I32, LANES)
            constants = (ir.Constant(wide, [n] * LANES) for n in (lanes - 1, -(-(1 << 20) // lanes), 20))
            up, magic, shift = constants
            return b.trunc(b.lshr(b.mul(b.add(b.zext(pairs, wide), up), magic), shift), self.vector)
        real = ir.VectorType(ir.DoubleType(), LANES)  # exact: a quotient that is no integer misses one by 1 / L
        quotient = b.fdiv(b.uitofp(pairs, real), ir.Constant(real, [float(lanes)] * LANES))
        return b.fptoui(self._call("llvm.ceil", quotient), self.vector)

    def _flush(self, waited: list[Any], starved: list[Any], pairs: list[Any]) -> None:
        """Add the narrow sums to the output."""
        block = self.block
        for v, total in enumerate(waited):
            self._add_to_output(v * LANES, self._widened(total))
        for v, total in enumerate(starved):
            if block.each:
                self._add_to_output(block.starved_at + v * LANES, self._widened(total))
            else:
                self._add_to_output(block.starved_at + v * LANES // 8, self._sum_eights(total))
        for v, total in enumerate(pairs):
            self._add_to_output(block.pairs_at + v * LANES, self._widened(total))

    def _end(self, queues: list[Any], windows: Any) -> None:
        """Turn the cycles that each group waited into the cycle in which it ended."""
        wide = ir.VectorType(_I32, LANES)
        scanned = self._shuffle(self.b.insert_element(ir.Constant(wide, ir.Undefined), windows, _I32(0)), [0] * LANES)
        for v, most in enumerate(self._fullest(queues)):
            drain = self._widened(self._cycles_for(most))
            self._add_to_output(v * LANES, self.b.add(drain, scanned))

    def _sum_eights(self, value: Any) -> Any:
        """Sum every eight neighbouring lanes, uint32 [8]."""
        b = self.b
        total = self._widened(value)
        for size in (64, 32, 16):  # neighbours two by two
            low, high = list(range(0, size, 2)), list(range(1, size, 2))
            total = b.add(self._shuffle(total, low), self._shuffle(total, high))
        return total

    def _widened(self, value: Any) -> Any:
        return value if self.block.bits == 32 else self.b.zext(value, ir.VectorType(_I32, LANES))

    def _clear_output(self) -> None:
        for at in range(0, self.block.outputs, 8):  # all parts are multiples of eight
            eight = ir.VectorType(_I32, 8)
            place = self.b.bitcast(self.b.gep(self.out, [_I64(at)]), eight.as_pointer())
            self.b.store(ir.Constant(eight, [0] * 8), place, align=4)

    def _add_to_output(self, at: int, value: Any) -> None:
        place = self.b.bitcast(self.b.gep(self.out, [_I64(at)]), value.type.as_pointer())
        self.b.store(self.b.add(self.b.load(place, align=4), value), place, align=4)

    def _repeat(self, pointer: Any, count: int) -> Any:
        """Load some bytes and repeat them through a vector."""
        b = self.b
        element = ir.IntType(8 * min(count, 8))
        whole = ir.VectorType(element, max(1, count // 8))
        loaded = b.load(b.bitcast(pointer, whole.as_pointer()), align=1)
        repeated = self._shuffle(loaded, [i % whole.count for i in range(LANES // min(count, 8))])
        return b.bitcast(repeated, ir.VectorType(_I8, LANES))

    def _over(self, left: Any, right: Any) -> Any:
        """max(left - right, 0)."""
        return self._call("llvm.usub.sat", left, right)

    def _all(self, number: int) -> Any:
        return ir.Constant(self.vector, [number] * LANES)

    def _phi(self, kind: Any, value: Any, source: Any) -> Any:
        phi = self.b.phi(kind)
        phi.add_incoming(value, source)
        return phi

    def _shuffle(self, value: Any, lanes: list[int]) -> Any:
        picks = ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)
        return self.b.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), picks)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call an LLVM intrinsic on vectors."""
        vector = arguments[0].type
        element = "f64" if isinstance(vector.element, ir.DoubleType) else f"i{vector.element.width}"
        full = f"{name}.v{vector.count}{element}"
        function = self.module.globals.get(full)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(vector, [vector] * len(arguments)), full)
        return self.b.call(function, arguments)
