"""The line buffers of a window, and the control of the passes over them."""

import itertools
import math

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import DualPortMemory
from ..multiplier import with_carry
from .window import Window, constants_shape, delayed, stepwise
from .window_addresses import (
    Addresses,
    Step,
    chosen,
    column_addresses,
    lookup,
    on_map,
    row_addresses,
)


__all__ = ["WindowReader"]


class WindowReader(wiring.Component):
    """Line buffers of a :class:`Window`, and the control of the passes over them.

    A pass reads the window of a pixel, a part and a channel group in each of its steps; a grouped
    one reads a single channel group, the next pass the next. Pixels follow in raster order, frames
    without a gap.

    Parameters
    ----------
    window : :class:`Window`
    pad : :class:`int`
        What the window holds where there is no pixel, in the input's element.
    flip : :class:`bool`
        Invert the highest bit of each value: unsigned ones become signed, less half their range.
    passes : :class:`int`
        Passes of a pixel.
    grouped : :class:`bool`
        Whether a pass reads one channel group only; then there are as many passes as groups.
    cycles : :class:`int`
        From a pass to the next, at the least its steps.

    Members
    -------
    i : :py:`In(stream.Signature(...))`
    enough : :py:`In(1)`
        Whether a pass may be issued: there are places for what it makes.
    issue : :py:`Out(1)`
        A pass is issued; its first step is in this cycle.
    last_pass : :py:`Out(1)`
        Whether the pass to issue, or under way, is a pixel's last; of registers alone.
    ahead : :py:`Out(1)`
        A step, one cycle before its window.
    valid, first, last : :py:`Out(1)`
        A step's window, :attr:`latency` cycles after the step; a pass's first and last.
    o : :py:`Out(unsigned(...))`
        The window's part: kernel row, kernel column, lane, the last one in the lowest bits.
    """

    latency = 4

    def __init__(self, window: Window, *, pad: int, flip: bool, passes: int, grouped: bool,
                 cycles: int):
        self._window = window
        self._pad = pad
        self._flip = flip
        self._passes = passes
        self._grouped = grouped
        self._cycles = cycles
        element = window.input.width
        super().__init__({
            "i": In(window.stream.signature),
            "enough": In(1), "issue": Out(1), "last_pass": Out(1),
            "ahead": Out(1), "valid": Out(1), "first": Out(1), "last": Out(1),
            "o": Out(math.prod(window.part) * window.lanes * element),
        })

    @staticmethod
    def cost(window: Window, device: Device) -> Resources:
        """What it takes.

        Constants of the control are a fit to Yosys' counts of many windows.
        """
        rows, columns = window.part
        banks = rows * columns
        words = window.slots * window.row_words
        width = window.lanes * window.input.width
        cost = DualPortMemory.cost(width=width, depth=words, device=device) * banks
        # Padding clears, or sets, registers.
        padded = _padded(window)
        choice = sum(_choice(count, device) for count in _turns(window)) + (window.pixels > 1)
        cost += Resources(lut=width * choice, ff=width) * banks
        cost += Resources(ff=window.stream.width)
        if WindowReader.shifts(window, device):
            cost += Resources(lut=width, ff=-3 * width) * banks
        address = max(1, (words - 1).bit_length())
        counters = sum((count - 1).bit_length() for count in (
            window.groups, *window.parts, *window.positions))
        held = address if window.slots > 1 else 0
        control = (24 + 4 * counters + 42 * padded + 8 * held if device.wide_tables
                   else max(50, 20 * counters - 60) + 50 * padded + 4 * held)
        return cost + Resources(
            lut=control + 2 * banks * address,
            ff=45 + 3 * counters + 4 * banks * address // 5 + 26 * padded + 6 * held)

    @staticmethod
    def shifts(window: Window, device: Device) -> bool:
        """Whether there is nothing between a memory of look-up tables and the window, so that the
        registers on the way, and one behind it, are shift registers of look-up tables."""
        memory = DualPortMemory.cost(width=window.lanes * window.input.width,
                                     depth=window.slots * window.row_words, device=device)
        return (device.wide_tables and _turns(window) == [1, 1] and not _padded(window)
                and not memory.bram18)

    def elaborate(self, platform):
        m = Module()
        window = self._window
        step = self._steps(m)
        self._admission(m, step)
        self._write(m)
        self._read(m, step, row_addresses(m, window, step),
                   column_addresses(m, window, step, grouped=self._grouped))
        return m

    def _steps(self, m) -> Step:
        """Counters of steps, passes and pixels, and when a pass is issued."""
        window = self._window
        steps = math.prod(window.parts) * (1 if self._grouped else window.groups)
        running = Signal()
        active = Signal()
        m.d.comb += active.eq(self.issue | running)
        _, group_last = _counter(m, "group", 1 if self._grouped else window.groups, active)
        _, column_last = _counter(m, "kernel_column", window.parts[1], active & group_last)
        row_part = Signal()
        m.d.comb += row_part.eq(active & group_last & column_last)
        _, row_last = _counter(m, "kernel_row", window.parts[0], row_part)
        pass_done, pixel_done, row_done = (
            Signal(name=name) for name in ("pass_done", "pixel_done", "row_done"))
        m.d.comb += pass_done.eq(row_part & row_last)
        _, pass_last = _counter(m, "pass_count", self._passes, pass_done)
        m.d.comb += self.last_pass.eq(pass_last)
        m.d.comb += pixel_done.eq(pass_done & pass_last)
        column, last_column = _counter(m, "column", window.positions[1], pixel_done)
        m.d.comb += row_done.eq(pixel_done & last_column)
        row, last_row = _counter(m, "row", window.positions[0], row_done)
        if steps > 1:
            m.d.sync += running.eq(active & ~pass_done)

        ready = Signal(init=1)
        if self._cycles > 1:
            left = Signal(range(self._cycles))
            m.d.sync += ready.eq(left <= 1)
            with m.If(self.issue):
                m.d.sync += [left.eq(self._cycles - 1), ready.eq(0)]
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)
        return Step(active=active, ready=ready, column_part=active & group_last,
                    row_part=row_part, pass_done=pass_done, pixel_done=pixel_done,
                    row_done=row_done, column_last=column_last, row_last=row_last,
                    last_column=last_column, last_row=last_row, row=row, column=column)

    def _admission(self, m, step: Step) -> None:
        """Whether the next pixel's beats are there, and whether there is room for a beat."""
        window = self._window
        rows, columns = window.positions
        beats = window.stream.beats
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)

        first = int(window.needs[0])
        more = np.diff(window.needs, append=first + beats).reshape(rows, columns)
        places = window.rows_held * window.row_beats
        slack = Signal(range(-max(int(more.max()), first), places + 2), init=-first)
        less = Signal(constants_shape((-more).ravel().tolist()), init=-int(more[0, 0]))
        with m.If(step.pixel_done):
            m.d.sync += less.eq(_ahead(step, -more))
        # Both sums side by side, as it is late in a cycle that a pixel is known to be done.
        m.d.sync += slack.eq(Mux(step.pixel_done, with_carry(slack, less, taken), slack + taken))
        m.d.comb += self.issue.eq(step.ready & ~slack[-1] & self.enough)

        frees = window.frees.reshape(rows, columns)
        starts = np.concatenate([[0], frees[:-1, -1]])
        within = np.diff(np.concatenate([starts[:, None], frees], axis=1), axis=1) - 1
        passing = (within[:, :-1] >= 0).any(axis=1)  # rows with places freed pixel by pixel
        freed = Mux(
            step.last_column, stepwise(step.row, within[:, -1]),
            Mux(stepwise(step.row, passing), stepwise(step.column, within[passing.argmax()]), -1))
        over = int((window.frees - window.needs).max())
        # The room and what is freed are less one: what a beat takes is a carry that is not there.
        room = Signal(range(-2, places + max(over, 0) + 2), init=places - 1)
        credit = Signal(range(-1, int(within.max()) + 1), init=-1)
        m.d.sync += credit.eq(Mux(step.pixel_done, freed, -1))
        m.d.sync += room.eq(with_carry(room, credit, ~taken))
        m.d.comb += self.i.ready.eq(~room[-1])

    def _write(self, m) -> None:
        """The banks, and the beats into them: rows and columns go to banks in turn."""
        window = self._window
        (bank_rows, bank_columns), groups = window.part, window.groups
        left = window.padding[1]
        taken = self.i.valid & self.i.ready
        _, group_last = _counter(m, "w_group", groups, taken)
        _, column_last = _counter(m, "w_column", window.input.columns // window.pixels,
                                  taken & group_last)
        pixel_end, row_end = Signal(name="w_pixel_end"), Signal(name="w_row_end")
        m.d.comb += [pixel_end.eq(taken & group_last), row_end.eq(pixel_end & column_last)]

        slots, row_words = window.slots, window.row_words
        words = range(max(2, slots * row_words))
        bank_row, bank_row_last = _counter(m, "w_bank_row", bank_rows, row_end)
        base = Signal(words, name="w_base")
        if slots > 1:
            with m.If(row_end & bank_row_last):
                m.d.sync += base.eq(Mux(base == (slots - 1) * row_words, 0, base + row_words))
        bank_column = Signal(range(bank_columns), name="w_bank_column", init=left % bank_columns)
        start = left // bank_columns * groups
        offset = Signal(range(max(2, row_words)), name="w_offset", init=start)
        with m.If(row_end):
            m.d.sync += [bank_column.eq(left % bank_columns), offset.eq(start)]
        with m.Elif(pixel_end):
            nexts = [bank + window.pixels for bank in range(bank_columns)]
            wraps = lookup(bank_column, [bank // bank_columns for bank in nexts])
            m.d.sync += bank_column.eq(lookup(bank_column, [bank % bank_columns
                                                            for bank in nexts]))
            # The next bank's group 0 is at this bank's, or one pixel on.
            m.d.sync += offset.eq(Mux(wraps, offset + 1, offset - (groups - 1)))
        with m.Elif(taken):
            m.d.sync += offset.eq(offset + 1)

        first = Signal(words, name="w_address", reset_less=True)
        second = Signal(words, name="w_address_beyond", reset_less=True)
        m.d.sync += [first.eq(base + offset), second.eq(with_carry(
            Cat(base, Const(0, 1)), Cat(offset, Const(0, 1)), Const(1, 1)))]
        pixels = self._pixels(m)
        self._banks = {}
        for row, column in itertools.product(range(bank_rows), range(bank_columns)):
            bank = DualPortMemory(width=len(pixels[0]), depth=slots * row_words)
            m.submodules[f"bank_{row}_{column}"] = self._banks[row, column] = bank
            for k, pixel in enumerate(pixels):
                # The pixel's bank counts from the beat's on, around.
                below = bank_column == (column - k) % bank_columns
                enable = Signal(name=f"w_enable_{row}_{column}_{k}")
                m.d.sync += enable.eq(taken & (bank_row == row) & below)
                if len(pixels) == 1:
                    m.d.comb += [bank.w_en.eq(enable), bank.w_data.eq(pixel),
                                 bank.w_addr.eq(first)]
                    continue
                with m.If(enable):
                    m.d.comb += [bank.w_en.eq(1), bank.w_data.eq(pixel),
                                 bank.w_addr.eq(second if column < k else first)]

    def _pixels(self, m) -> list[Value]:
        """The pixels of the beat that was taken."""
        window, element = self._window, self._window.input.width
        word = Value.cast(self.i.payload)
        if self._flip:
            count = window.stream.elements
            word = word ^ Const(sum(1 << element * (k + 1) - 1 for k in range(count)), len(word))
        data = Signal(len(word), name="w_data", reset_less=True)
        m.d.sync += data.eq(word)
        return [data.word_select(k, window.lanes * element) for k in range(window.pixels)]

    def _read(self, m, step: Step, rows: Addresses, columns: Addresses) -> None:
        """From addresses to the window: memory, register, rotation, padding."""
        window = self._window
        bank_rows, bank_columns = window.part
        width = window.lanes * window.input.width
        for (row, column), bank in self._banks.items():
            address = Signal(len(bank.r_addr), name=f"r_address_{row}_{column}", reset_less=True)
            m.d.sync += address.eq(rows.of(row, bank_rows) + columns.of(column, bank_columns))
            m.d.comb += bank.r_addr.eq(address)

        first = Signal(init=1)
        with m.If(step.active):
            m.d.sync += first.eq(step.pass_done)
        valid = delayed(m, "valid", step.active, self.latency, reset=True)
        m.d.comb += [self.valid.eq(valid[-1]), self.ahead.eq(valid[-2])]
        lasts = delayed(m, "last", step.pass_done, self.latency, reset=True)
        m.d.comb += self.last.eq(lasts[-1])
        m.d.comb += self.first.eq(delayed(m, "first", first, self.latency)[-1])

        row_rotation = delayed(m, "row_turn", rows.rotation, self.latency - 1)[-1]
        column_rotation = delayed(m, "column_turn", columns.rotation, self.latency - 1)[-1]
        pad = self._pad ^ (1 << window.input.width - 1 if self._flip else 0)
        padding = Const(pad & (1 << window.input.width) - 1,
                        window.input.width).replicate(window.lanes)
        flags = [on_map(m, window, step, axis) for axis in (0, 1)]
        inside = [[delayed(m, f"inside_{name}_{k}", flag, self.latency - 1)[-1]
                   for k, flag in enumerate(each)] for name, each in zip("yx", flags, strict=True)]
        # By columns, then by rows: two small multiplexers where one would be of all the banks.
        turned = {(row, column): chosen(m, f"turned_{row}_{column}", column_rotation, [
            self._banks[row, (column + turn) % bank_columns].r_data
            for turn in range(bank_columns)]) for row, column in self._banks}
        words = []
        for row, column in self._banks:
            word = chosen(m, f"word_{row}_{column}", row_rotation, [
                turned[(row + turn) % bank_rows, column] for turn in range(bank_rows)])
            part = Signal(width, name=f"part_{row}_{column}", reset_less=True)
            whole = isinstance(flags[0][row], Const) and isinstance(flags[1][column], Const)
            m.d.sync += part.eq(word if whole else Mux(inside[0][row] & inside[1][column], word,
                                                       padding))
            words.append(part)
        m.d.comb += self.o.eq(Cat(words))


def _counter(m, name: str, count: int, enable: Value) -> tuple[Signal, Value]:
    """A counter of so many values, and a register that says whether it is at its last."""
    counter = Signal(range(count), name=name)
    if count == 1:
        return counter, Const(1)
    last = Signal(name=f"{name}_last")
    with m.If(enable):
        m.d.sync += [counter.eq(Mux(last, 0, counter + 1)), last.eq(counter == count - 2)]
    return counter, last


def _ahead(step: Step, values: np.ndarray) -> Value:
    """Of values for each position, shape (rows, columns), that of the position after this one; the
    columns but the last are alike in all rows."""
    if values.shape[1] == 1:
        return stepwise(step.row, np.roll(values[:, 0], -1))
    along = np.concatenate([values[0, 1:-1], values[0, -2:-1], values[0, :1]])
    return Mux(step.column == values.shape[1] - 2, stepwise(step.row, values[:, -1]),
               stepwise(step.column, along))


def _padded(window: Window) -> bool:
    """Whether it ever holds what is not on the map, or not the kernel's."""
    return any(window.padding) or any(part * count != size for part, count, size in zip(
        window.part, window.parts, window.kernel, strict=True))


def _turns(window: Window) -> list[int]:
    """How many rows, and columns, each of the part's comes from: the rotation that no stride
    changes is none."""
    rows, columns = window.part
    return [rows if any(move % rows for move in window.row_moves) else 1,
            columns if window.strides[1] % columns else 1]


def _choice(count: int, device: Device) -> int:
    """LUTs of a bit that is chosen from so many."""
    return 0 if count == 1 else 1 if count <= 4 and device.wide_tables else math.ceil(count / 2)
