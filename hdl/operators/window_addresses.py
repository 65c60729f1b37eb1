"""Where in the line buffers the window of each pixel lies.

A slot, or an offset, is kept twice: for the banks from the rotation on, and for those below, whose
pixels are one further. Both move by the same constants, side by side, so that between two registers
there is one sum.
"""

import dataclasses
from collections.abc import Sequence

from amaranth import *

from .window import Window, constants_shape


__all__ = ["Addresses", "Step", "chosen", "column_addresses", "lookup", "on_map", "row_addresses"]


@dataclasses.dataclass(kw_only=True)
class Step:
    """Where a :class:`WindowReader` stands: events of this cycle, and registers that say whether
    something is the last."""

    active: Value
    ready: Value
    column_part: Value
    row_part: Value
    pass_done: Value
    pixel_done: Value
    row_done: Value
    column_last: Value
    row_last: Value
    last_column: Value
    last_row: Value
    row: Value
    column: Value


@dataclasses.dataclass(kw_only=True)
class Addresses:
    """One dimension of the banks' addresses: those from the rotation on, and those below it."""

    here: Value
    other: Value
    rotation: Value

    def of(self, bank: int, banks: int) -> Value:
        """The address of one bank of so many."""
        if bank == banks - 1:
            return self.here
        below = lookup(self.rotation, [int(bank < turn) for turn in range(banks)])
        return Mux(below, self.other, self.here)


def lookup(index: Value, values: Sequence[int]) -> Value:
    """A constant for each value of an index of few bits, with no comparison that carries."""
    shape = constants_shape(values)
    if min(values) == max(values):
        return Const(values[0], shape)
    return Value.cast(Array(Const(value, shape) for value in values)[index])


def chosen(m, name: str, index: Value, sources: Sequence[Value]) -> Value:
    """The source that an index says."""
    if len(sources) == 1:
        return sources[0]
    word = Signal(len(sources[0]), name=name)
    with m.Switch(index):
        for case, source in enumerate(sources[:-1]):
            with m.Case(case):
                m.d.comb += word.eq(source)
        with m.Default():
            m.d.comb += word.eq(sources[-1])
    return word


def row_addresses(m, window: Window, step: Step) -> Addresses:
    """Of the kernel row part; addresses are slots, in words."""
    banks, words, slots = window.part[0], window.row_words, window.slots
    first, moves = -window.padding[0] % window.rows_held, window.row_moves
    rotation = Signal(range(banks), name="row_rotation", init=first % banks)
    with m.If(step.row_done):
        m.d.sync += rotation.eq(_moved(step.last_row, rotation, [
            [(turn + rows) % banks for turn in range(banks)] for rows in moves]))
    distances = [[(turn + rows) // banks % slots * words for turn in range(banks)]
                 for rows in moves]
    size = slots * words
    still = not any(map(any, distances))
    # From a part of the kernel to the next: with a dilation a bank holds all rows.
    apart = (window.dilations[0] if window.parts[0] > 1 else 1) % slots * words
    tracks = []
    for name, before in (("slot", 0), ("slot_after", apart)):
        start = (first // banks * words + before) % size
        pixel = Signal(range(max(2, size)), name=f"pixel_{name}", init=start)
        here = Signal(range(max(2, size)), name=name, init=start)
        moved = pixel if still else _wrapped(
            m, f"next_{name}", pixel, _moved(step.last_row, rotation, distances),
            _moved(step.last_row, rotation, [[distance - size for distance in each]
                                             for each in distances]))
        tracks.append((pixel, here, moved))
    (_, here, _), (_, after, _) = tracks
    beyond = after if not apart else _wrapped(m, "slot_beyond", after, Const(apart),
                                              Const(apart - size))
    with m.If(step.row_done):
        m.d.sync += [each.eq(moved) for pixel, here, moved in tracks for each in (pixel, here)]
    with m.Elif(step.pass_done):
        m.d.sync += [here.eq(pixel) for pixel, here, _ in tracks]
    with m.Elif(step.row_part):
        m.d.sync += [here.eq(after), after.eq(beyond)]
    return Addresses(here=here, other=after, rotation=rotation)


def column_addresses(m, window: Window, step: Step, *, grouped: bool) -> Addresses:
    """Of the kernel column part and the channel group, likewise; addresses are words of a row."""
    banks, groups, stride = window.part[1], window.groups, window.strides[1]
    bits = range(max(2, window.row_words + 2 * groups + window.extent[1] // banks * groups))
    rotation = Signal(range(banks), name="column_rotation")
    with m.If(step.row_done):
        m.d.sync += rotation.eq(0)
    with m.Elif(step.pixel_done):
        m.d.sync += rotation.eq(lookup(rotation, [(turn + stride) % banks
                                                  for turn in range(banks)]))
    distance = lookup(rotation, [(turn + stride) // banks * groups for turn in range(banks)])
    advance: Value | int = 1
    if grouped:
        # A pass reads one group: parts are a pixel apart, and passes follow one another.
        advance = window.dilations[1] * groups
    elif window.dilations[1] > 1:
        advance = Mux(step.column_part, 1 + (window.dilations[1] - 1) * groups, 1)
    tracks = []
    for name, start in (("offset", 0), ("offset_after", groups)):
        pixel = Signal(bits, name=f"pixel_{name}", init=start)
        moved = Signal(bits, name=f"next_{name}")
        m.d.comb += moved.eq(Mux(step.last_column, start, pixel + distance))
        with m.If(step.pixel_done):
            m.d.sync += pixel.eq(moved)
        again: Value = pixel
        if grouped:
            group = Signal(bits, name=f"group_{name}", init=start)
            with m.If(step.pixel_done):
                m.d.sync += group.eq(moved)
            with m.Elif(step.pass_done):
                m.d.sync += group.eq(group + 1)
            again = Mux(step.pass_done, group + 1, group)
        here = Signal(bits, name=name, init=start)
        with m.If(step.row_part):
            m.d.sync += here.eq(Mux(step.pixel_done, moved, again))
        with m.Elif(step.active):
            m.d.sync += here.eq(here + advance)
        tracks.append(here)
    return Addresses(here=tracks[0], other=tracks[1], rotation=rotation)


def on_map(m, window: Window, step: Step, axis: int) -> list[Value]:
    """For each row, or column, of the part, whether it is one of the kernel's, and on the map."""
    name, positions = "yx"[axis], window.positions[axis]
    stride, part, dilation = window.strides[axis], window.part[axis], window.dilations[axis]
    size, parts = (window.input.rows, window.input.columns)[axis], window.parts[axis]
    done, last_position, part_done, part_last = (
        (step.row_done, step.last_row, step.row_part, step.row_last) if axis == 0 else
        (step.pixel_done, step.last_column, step.column_part, step.column_last))
    start = -window.padding[axis]
    most = start + (positions - 1) * stride + parts * part * dilation
    always = start >= 0 and start + (positions - 1) * stride + window.extent[axis] <= size
    if always and parts * part == window.kernel[axis]:
        return [Const(1)] * part
    bits = range(start, most + stride + 1)
    pixel = Signal(bits, name=f"pixel_{name}", init=start)
    here = Signal(bits, name=name, init=start)
    moved = Signal(bits, name=f"next_{name}")
    m.d.comb += moved.eq(Mux(last_position, start, pixel + stride))
    with m.If(done):
        m.d.sync += [pixel.eq(moved), here.eq(moved)]
    with m.Elif(part_done):
        m.d.sync += here.eq(Mux(part_last, pixel, here + part * dilation))
    flags = []
    for k in range(part):
        flag = Const(1) if always else (here >= -k) & (here < size - k)
        if (parts - 1) * part + k >= window.kernel[axis]:
            flag = flag & ~part_last
        flags.append(flag)
    return flags


def _moved(last: Value, rotation: Value, values: Sequence[Sequence[int]]) -> Value:
    """By the rotation, for a move that is not the last, and for the last one."""
    if values[0] == values[1]:
        return lookup(rotation, values[0])
    return Mux(last, lookup(rotation, values[1]), lookup(rotation, values[0]))


def _wrapped(m, name: str, value: Value, distance: Value, less: Value) -> Signal:
    """A value moved around, by one distance where the sum stays below the size, else by the other,
    which is the size less: both sums side by side, and one of them is right."""
    beyond = Signal(signed(len(value) + 2), name=f"{name}_beyond")
    m.d.comb += beyond.eq(value + less)
    result = Signal(len(value), name=name)
    m.d.comb += result.eq(Mux(beyond[-1], value + distance, beyond))
    return result
