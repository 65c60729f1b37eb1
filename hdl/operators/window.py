"""Sliding windows: which pixels a kernel needs, when, and the line buffers that hold them."""

import dataclasses
import functools
import itertools
import math

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import DualPortMemory
from ..operator import FeatureMap, Input, StreamShape


__all__ = ["Window", "WindowReader", "delayed", "fewest_for_each", "stepwise"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """A kernel that slides over a feature map, read in parts.

    Parameters
    ----------
    input : :class:`FeatureMap`
        What it slides over.
    kernel, strides : pairs of :class:`int`
        Rows and columns.
    padding : four :class:`int`
        Top, left, bottom, right.
    dilations : pair of :class:`int`
        Rows and columns from one of the kernel's to the next.
    lanes : :class:`int`
        Folding: channels that are read at once.
    part : pair of :class:`int`
        Folding: kernel rows and columns that are read at once; one where they are dilated.
    pixels : :class:`int`
        Folding: pixels of an input beat; of more than one, each with all its channels, and no more
        than the part has columns, as each goes to a bank of its own.

    Raises
    ------
    ValueError
        If the padded map is smaller than the kernel, or a folding is larger than what it folds.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    pixels: int = 1

    def __post_init__(self) -> None:
        if min(self.kernel) < 1 or min(self.strides) < 1 or min(self.padding) < 0:
            raise ValueError(f"Kernel and strides must be positive and padding not negative, "
                             f"not {self.kernel!r}, {self.strides!r} and {self.padding!r}")
        if min(self.dilations) < 1:
            raise ValueError(f"Dilations must be positive, not {self.dilations!r}")
        if min(self.padded[0] - self.extent[0], self.padded[1] - self.extent[1]) < 0:
            raise ValueError(f"Kernel {self.extent!r} is larger than the padded map "
                             f"{self.padded!r}")
        if not 1 <= self.lanes <= self.input.channels:
            raise ValueError(f"Lanes must be between 1 and {self.input.channels!r} channels, "
                             f"not {self.lanes!r}")
        if not (1 <= self.part[0] <= self.kernel[0] and 1 <= self.part[1] <= self.kernel[1]):
            raise ValueError(f"Part must be between 1 x 1 and the kernel {self.kernel!r}, "
                             f"not {self.part!r}")
        if any(size > 1 and dilation > 1 for size, dilation in zip(self.part, self.dilations,
                                                                   strict=True)):
            raise ValueError(f"Part must be 1 where the kernel is dilated by {self.dilations!r}, "
                             f"not {self.part!r}")
        if not 1 <= self.pixels <= self.part[1] or self.input.columns % self.pixels or (
                self.pixels > 1 and self.lanes != self.input.channels):
            raise ValueError(f"Pixels of a beat must divide the {self.input.columns!r} columns, "
                             f"and be at most those of the part, not {self.pixels!r}")

    @property
    def stream(self) -> StreamShape:
        """How the map comes in."""
        return StreamShape(map=self.input, lanes=self.lanes, pixels=self.pixels)

    @property
    def row_beats(self) -> int:
        """Beats of a row."""
        return self.input.columns // self.pixels * self.groups

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns with padding."""
        top, left, bottom, right = self.padding
        return self.input.rows + top + bottom, self.input.columns + left + right

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the kernel's first to its last."""
        return ((self.kernel[0] - 1) * self.dilations[0] + 1,
                (self.kernel[1] - 1) * self.dilations[1] + 1)

    @property
    def positions(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return ((self.padded[0] - self.extent[0]) // self.strides[0] + 1,
                (self.padded[1] - self.extent[1]) // self.strides[1] + 1)

    @property
    def groups(self) -> int:
        """Beats of a pixel."""
        return math.ceil(self.input.channels / self.lanes)

    @property
    def parts(self) -> tuple[int, int]:
        """Parts of the kernel, in rows and columns."""
        return (math.ceil(self.kernel[0] / self.part[0]),
                math.ceil(self.kernel[1] / self.part[1]))

    def part_sizes(self, axis: int) -> list[int]:
        """Rows, or columns, of the kernel that are worth reading at once."""
        return [1] if self.dilations[axis] > 1 else fewest_for_each(self.kernel[axis])

    def gather(self, x: np.ndarray, pad: int) -> np.ndarray:
        """Windows, shape (frames, rows, columns, kernel rows, kernel columns, channels)."""
        top, left, bottom, right = self.padding
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.extent, axis=(1, 2))
        windows = windows[:, ::self.strides[0], ::self.strides[1], :,
                          ::self.dilations[0], ::self.dilations[1]]
        return windows.transpose(0, 1, 2, 4, 5, 3)

    def counts(self, excluded: tuple[int, int, int, int]) -> np.ndarray:
        """Pixels of each window outside so many rows and columns at the top, left, bottom and
        right of the padded map; shape (rows, columns)."""
        top, left, bottom, right = excluded
        counts = [self._counts(0, top, bottom), self._counts(1, left, right)]
        return np.multiply.outer(*counts)

    def _counts(self, axis: int, before: int, after: int) -> np.ndarray:
        starts = np.arange(self.positions[axis]) * self.strides[axis]
        places = starts[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis]
        return ((places >= before) & (places < self.padded[axis] - after)).sum(1)

    @functools.cached_property
    def needs(self) -> np.ndarray:
        """Beats of the frame that each output pixel needs, shape (positions,)."""
        rows, columns = self._extent(0), self._extent(1)
        within = -(-(columns + 1) // self.pixels) * self.groups
        return (rows[:, None] * self.row_beats + within).ravel()

    def _extent(self, axis: int) -> np.ndarray:
        size = (self.input.rows, self.input.columns)[axis]
        last = (np.arange(self.positions[axis]) * self.strides[axis] - self.padding[axis]
                + self.extent[axis] - 1)
        return np.clip(last, 0, size - 1)

    @functools.cached_property
    def frees(self) -> np.ndarray:
        """Beats of the frame that are needed no more after each output pixel.

        May exceed what has arrived: strides, and the edges of the map, skip pixels.
        """
        rows, columns = self.positions
        starts = np.arange(rows + 1) * self.strides[0] - self.padding[0]
        top = np.clip(starts, 0, self.input.rows) * self.row_beats
        passed = np.clip((np.arange(columns) + 1) * self.strides[1] - self.padding[1],
                         0, self.input.columns) // self.pixels * self.groups
        frees = np.minimum(top[:-1, None] + passed, top[1:, None])
        frees[-1] = np.minimum(top[-2] + passed, self.stream.beats)
        frees[:-1, -1] = top[1:-1]
        frees[-1, -1] = self.stream.beats
        return frees.ravel()

    @property
    def rows_held(self) -> int:
        """Rows of the line buffer.

        The least with which the pixels of one output can arrive during the output before it, across
        the border of two frames too; a multiple of the part, as rows go to its banks in turn.
        """
        return _rows_held(self)

    def buffered(self, *, passes: int, steps: int) -> Input:
        """The input of an operator that makes this many passes of so many steps for a pixel."""
        frees = np.concatenate([[0], self.frees[:-1]]).repeat(passes)
        frees[passes - 1::passes] = self.frees
        return Input(beats=self.stream.beats, needs=self.needs.repeat(passes),
                     frees=frees, places=self.rows_held * self.row_beats, entry=1,
                     release=steps + WindowReader.release)


@functools.lru_cache(maxsize=4096)
def _rows_held(window: Window) -> int:
    beats = window.stream.beats
    needs = np.append(window.needs[1:], window.needs[0] + beats)
    before = np.concatenate([[window.frees[-1] - beats], window.frees[:-1]])
    gap = int((needs - before).max())
    if window.needs.size > 1:
        gap += 4 * window.groups  # a pixel's places are free, and its data there, cycles later
    held = max(window.extent[0], math.ceil(gap / window.row_beats))
    return math.ceil(held / window.part[0]) * window.part[0]


def stepwise(index: Value, values) -> Value:
    """A constant for each value of an index, of which neighbours are mostly equal."""
    values = [int(value) for value in values]
    result: Value = Const(values[-1], _shape(values))
    for at in range(len(values) - 1, 0, -1):
        if values[at] != values[at - 1]:
            result = Mux(index < at, Const(values[at - 1], _shape(values)), result)
    return result


def _shape(values) -> Shape:
    return Shape.cast(range(min(values), max(values) + 1)) if min(values) < max(values) else (
        Shape.cast(range(min(0, min(values)), max(values) + 1)))


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
    release = 1  # cycles from a pixel's last step to the first transfer into a place that it freed

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

    @property
    def _row_words(self) -> int:
        """Words of a row in one bank."""
        window = self._window
        columns = window.input.columns + window.padding[1]
        return math.ceil(columns / window.part[1]) * window.groups

    @staticmethod
    def cost(window: Window, device: Device) -> Resources:
        """What it takes.

        Constants of the control are a fit to Yosys' counts of many windows.
        """
        rows, columns = window.part
        banks = rows * columns
        slots = window.rows_held // rows
        words = slots * math.ceil((window.input.columns + window.padding[1]) / columns) * (
            window.groups)
        width = window.lanes * window.input.width
        padded = any(window.padding) or any(
            part * count != size for part, count, size in
            zip(window.part, window.parts, window.kernel, strict=True))
        cost = DualPortMemory.cost(width=width, depth=words, device=device) * banks
        # A rotation that no stride changes is none; padding clears, or sets, registers.
        jump = window.input.rows - (window.positions[0] - 1) * window.strides[0]
        turned = [1 if window.strides[0] % rows == jump % rows == 0 else rows,
                  1 if window.strides[1] % columns == 0 else columns]
        choice = sum(_choice(count) for count in turned) + (window.pixels > 1)
        cost += Resources(lut=width * choice, ff=width) * banks
        cost += Resources(ff=window.stream.width)
        if turned == [1, 1] and not padded and not cost.bram18:
            # Nothing between the memory and the window: shift registers of look-up tables.
            cost += Resources(lut=width, ff=-3 * width) * banks
        address = max(1, (words - 1).bit_length())
        counters = sum((count - 1).bit_length() for count in (
            window.groups, *window.parts, *window.positions))
        held = address if slots > 1 else 0
        return cost + Resources(
            lut=24 + 6 * counters + 2 * banks * address + 36 * padded + 4 * held,
            ff=53 + 3 * counters + 3 * banks * address // 4 + 29 * padded + 4 * held)

    def elaborate(self, platform):
        m = Module()
        step = self._steps(m)
        self._admission(m, step)
        self._write(m)
        self._read(m, step, self._row_addresses(m, step), self._column_addresses(m, step))
        return m

    def _counter(self, m, name: str, count: int, enable: Value) -> tuple[Signal, Value]:
        """A counter of so many values, and whether it is at its last."""
        counter = Signal(range(count), name=name)
        if count == 1:
            return counter, Const(1)
        last = Signal(name=f"{name}_last")
        m.d.comb += last.eq(counter == count - 1)
        with m.If(enable):
            m.d.sync += counter.eq(Mux(last, 0, counter + 1))
        return counter, last

    def _steps(self, m) -> "_Step":
        """Counters of steps, passes and pixels, and when a pass is issued."""
        window = self._window
        steps = math.prod(window.parts) * (1 if self._grouped else window.groups)
        running = Signal()
        active = Signal()
        m.d.comb += active.eq(self.issue | running)
        _, group_last = self._counter(m, "group", 1 if self._grouped else window.groups, active)
        _, column_last = self._counter(m, "kernel_column", window.parts[1], active & group_last)
        row_part = Signal()
        m.d.comb += row_part.eq(active & group_last & column_last)
        _, row_last = self._counter(m, "kernel_row", window.parts[0], row_part)
        pass_done, pixel_done, row_done, frame_done = (
            Signal(name=name) for name in ("pass_done", "pixel_done", "row_done", "frame_done"))
        m.d.comb += pass_done.eq(row_part & row_last)
        _, pass_last = self._counter(m, "pass_count", self._passes, pass_done)
        m.d.comb += self.last_pass.eq(pass_last)
        m.d.comb += pixel_done.eq(pass_done & pass_last)
        column, last_column = self._counter(m, "column", window.positions[1], pixel_done)
        m.d.comb += row_done.eq(pixel_done & last_column)
        row, last_row = self._counter(m, "row", window.positions[0], row_done)
        m.d.comb += frame_done.eq(row_done & last_row)
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
        return _Step(active=active, ready=ready, column_part=active & group_last,
                     row_part=row_part, column_last=column_last, row_last=row_last,
                     pass_done=pass_done, pass_last=pass_last, pixel_done=pixel_done,
                     row_done=row_done, frame_done=frame_done, row=row, column=column)

    def _admission(self, m, step: "_Step") -> None:
        """Whether the next pixel's beats are there, and whether there is room for a beat."""
        window = self._window
        rows, columns = window.positions
        beats = window.stream.beats
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)

        needs = window.needs.reshape(rows, columns)
        along = np.append(np.diff(needs[0]), 0)
        down = np.append(needs[1:, 0], needs[0, 0] + beats) - needs[:, -1]
        more = Mux(step.row_done, stepwise(step.row, down), stepwise(step.column, along))
        most = int(max(down.max(), along.max(), needs[0, 0]))
        places = window.rows_held * window.row_beats
        slack = Signal(range(-most, places + 2), init=-int(needs[0, 0]))
        m.d.sync += slack.eq(slack + taken - Mux(step.pixel_done, more, 0))
        m.d.comb += self.issue.eq(step.ready & ~slack[-1] & self.enough)

        frees = window.frees.reshape(rows, columns)
        starts = np.concatenate([[0], frees[:-1, -1]])
        within = np.diff(np.concatenate([starts[:, None], frees], axis=1), axis=1)
        passing = within[:, :-1].any(axis=1)  # rows in which places are freed pixel by pixel
        freed = Mux(
            step.row_done, stepwise(step.row, within[:, -1]),
            Mux(stepwise(step.row, passing), stepwise(step.column, within[passing.argmax()]), 0))
        over = int((window.frees - window.needs).max())
        room = Signal(range(-2, places + max(over, 0) + 2), init=places - 1)  # less one
        credit = Signal.like(freed, reset_less=True)
        credited = Signal()
        m.d.sync += [credit.eq(freed), credited.eq(step.pixel_done)]
        m.d.sync += room.eq(room - taken + Mux(credited, credit, 0))
        m.d.comb += self.i.ready.eq(~room[-1])

    def _write(self, m) -> None:
        """The banks, and the beats into them: rows and columns go to banks in turn."""
        window = self._window
        (bank_rows, bank_columns), groups = window.part, window.groups
        left = window.padding[1]
        taken = self.i.valid & self.i.ready
        _, group_last = self._counter(m, "w_group", groups, taken)
        _, column_last = self._counter(m, "w_column", window.input.columns // window.pixels,
                                       taken & group_last)
        pixel_end, row_end = Signal(name="w_pixel_end"), Signal(name="w_row_end")
        m.d.comb += [pixel_end.eq(taken & group_last), row_end.eq(pixel_end & column_last)]

        slots = window.rows_held // bank_rows
        words = range(max(2, slots * self._row_words))
        bank_row, bank_row_last = self._counter(m, "w_bank_row", bank_rows, row_end)
        base = Signal(words, name="w_base")
        if slots > 1:
            with m.If(row_end & bank_row_last):
                m.d.sync += base.eq(Mux(base == (slots - 1) * self._row_words, 0,
                                        base + self._row_words))
        bank_column = Signal(range(bank_columns), name="w_bank_column", init=left % bank_columns)
        start = left // bank_columns * groups
        offset = Signal(range(max(2, self._row_words)), name="w_offset", init=start)
        with m.If(row_end):
            m.d.sync += [bank_column.eq(left % bank_columns), offset.eq(start)]
        with m.Elif(pixel_end):
            wraps = bank_column >= bank_columns - window.pixels
            m.d.sync += bank_column.eq(Mux(wraps, bank_column - (bank_columns - window.pixels),
                                           bank_column + window.pixels))
            # The next bank's group 0 is at this bank's, or one pixel on.
            m.d.sync += offset.eq(Mux(wraps, offset + 1, offset - (groups - 1)))
        with m.Elif(taken):
            m.d.sync += offset.eq(offset + 1)

        first = Signal(words, name="w_address", reset_less=True)
        second = Signal(words, name="w_address_beyond", reset_less=True)
        m.d.sync += [first.eq(base + offset), second.eq(base + offset + 1)]
        pixels = self._pixels(m)
        self._banks = {}
        for row, column in itertools.product(range(bank_rows), range(bank_columns)):
            bank = DualPortMemory(width=len(pixels[0]), depth=slots * self._row_words)
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

    def _row_addresses(self, m, step: "_Step") -> "_Addresses":
        """Of the kernel row part: the slot of banks from the rotation on, and of those below."""
        window = self._window
        bank_rows, words = window.part[0], self._row_words
        slots = window.rows_held // bank_rows
        held, top = window.rows_held, window.padding[0]
        stride, jump = window.strides[0], (
            window.input.rows - (window.positions[0] - 1) * window.strides[0])

        bits = range(max(2, slots * words))
        first = -top % held
        rotation = Signal(range(bank_rows), name="row_rotation", init=first % bank_rows)
        pixel = Signal(bits, name="pixel_slot", init=first // bank_rows * words)
        # From a part of the kernel to the next: with a dilation a bank holds all rows.
        apart = window.dilations[0] if window.parts[0] > 1 else 1
        below = Signal(bits, name="below_slot",
                       init=(first // bank_rows + apart) % slots * words)
        # Rows that a whole row of pixels moves on: a stride, or to the top of the next frame.
        ahead = {}
        for name, rows in (("stride", stride % held), ("jump", jump % held)):
            turned = Signal(range(2 * bank_rows), name=f"{name}_rotation")
            m.d.comb += turned.eq(rotation + rows % bank_rows)
            carry = turned >= bank_rows
            slot = _wrapped(m, f"{name}_slot", pixel + Mux(
                carry, (rows // bank_rows + 1) * words, rows // bank_rows * words), slots * words)
            ahead[name] = Mux(carry, turned - bank_rows, turned), slot
        turn = Mux(step.frame_done, ahead["jump"][0], ahead["stride"][0])
        slot = Signal(bits, name="next_slot")
        m.d.comb += slot.eq(Mux(step.frame_done, ahead["jump"][1], ahead["stride"][1]))
        following = _wrapped(m, "following_slot", slot + apart * words, slots * words)

        here = Signal(bits, name="slot", init=pixel.init)
        after = Signal(bits, name="slot_after", init=below.init)
        with m.If(step.row_done):
            m.d.sync += [rotation.eq(turn), pixel.eq(slot), below.eq(following),
                         here.eq(slot), after.eq(following)]
        with m.Elif(step.pass_done):
            m.d.sync += [here.eq(pixel), after.eq(below)]
        with m.Elif(step.row_part):
            m.d.sync += [here.eq(after),
                         after.eq(_wrapped(m, "slot_beyond", after + apart * words,
                                           slots * words))]
        inside = self._inside(
            m, "y", start=-top, stride=stride, part=window.part[0], size=window.input.rows,
            moved=step.row_done, restarted=step.frame_done,
            part_done=step.row_part, part_last=step.row_last)
        return _Addresses(here=here, other=after, rotation=rotation, inside=inside)

    def _column_addresses(self, m, step: "_Step") -> "_Addresses":
        """Of the kernel column part and channel group, likewise."""
        window = self._window
        (bank_columns, groups), stride = (window.part[1], window.groups), window.strides[1]
        bits = range(max(2, self._row_words + 2 * groups
                         + window.extent[1] // bank_columns * groups))
        rotation = Signal(range(bank_columns), name="column_rotation")
        pixel = Signal(bits, name="pixel_offset")
        turned = Signal(range(2 * bank_columns), name="turned_column")
        m.d.comb += turned.eq(rotation + stride % bank_columns)
        carry = turned >= bank_columns
        beyond = Signal(bits, name="next_offset")
        m.d.comb += beyond.eq(Mux(step.row_done, 0, pixel + Mux(
            carry, (stride // bank_columns + 1) * groups, stride // bank_columns * groups)))
        with m.If(step.row_done):
            m.d.sync += [rotation.eq(0), pixel.eq(0)]
        with m.Elif(step.pixel_done):
            m.d.sync += [rotation.eq(Mux(carry, turned - bank_columns, turned)),
                         pixel.eq(beyond)]

        here = Signal(bits, name="offset")
        other = Signal(bits, name="offset_after", init=groups)
        if self._grouped:
            # A pass reads one group: parts are a pixel apart, and passes follow one another.
            group_start = Signal(bits, name="group_offset")
            with m.If(step.pixel_done):
                m.d.sync += group_start.eq(beyond)
            with m.Elif(step.pass_done):
                m.d.sync += group_start.eq(group_start + 1)
            restart = Mux(step.pixel_done, beyond, Mux(step.pass_done, group_start + 1,
                                                       group_start))
            advance: Value | int = window.dilations[1] * groups
        else:
            restart = Mux(step.pixel_done, beyond, pixel)
            advance = 1
            if window.dilations[1] > 1:
                skipped = (window.dilations[1] - 1) * groups
                advance = Mux(step.column_part, 1 + skipped, 1)
        start = Signal(bits, name="restart_offset")
        m.d.comb += start.eq(restart)
        with m.If(step.row_part):
            m.d.sync += [here.eq(start), other.eq(start + groups)]
        with m.Elif(step.active):
            m.d.sync += [here.eq(here + advance), other.eq(other + advance)]
        inside = self._inside(
            m, "x", start=-window.padding[1], stride=stride, part=bank_columns,
            size=window.input.columns, moved=step.pixel_done, restarted=step.row_done,
            part_done=step.column_part, part_last=step.column_last)
        return _Addresses(here=here, other=other, rotation=rotation, inside=inside)

    def _inside(self, m, name, *, start, stride, part, size, moved, restarted, part_done,
                part_last) -> list[Value]:
        """For each row or column of the part, whether it is one of the kernel's, and on the map."""
        positions, kernel, extent, parts, dilation = (
            pair["yx".index(name)] for pair in (
                self._window.positions, self._window.kernel, self._window.extent,
                self._window.parts, self._window.dilations))
        least, most = start, start + (positions - 1) * stride + parts * part * dilation
        always = start >= 0 and start + (positions - 1) * stride + extent <= size
        if always and parts * part == kernel:
            return [Const(1)] * part
        bits = range(least, most + stride + 1)
        pixel = Signal(bits, name=f"pixel_{name}", init=start)
        here = Signal(bits, name=name, init=start)
        following = Signal(bits, name=f"next_{name}")
        m.d.comb += following.eq(Mux(restarted, start, pixel + stride))
        with m.If(moved):
            m.d.sync += [pixel.eq(following), here.eq(following)]
        with m.Elif(part_done):
            m.d.sync += here.eq(Mux(part_last, pixel, here + part * dilation))
        flags = []
        for k in range(part):
            flag = Const(1) if always else (here >= -k) & (here < size - k)
            if (parts - 1) * part + k >= kernel:
                flag = flag & ~part_last
            flags.append(flag)
        return flags

    def _read(self, m, step: "_Step", rows: "_Addresses", columns: "_Addresses") -> None:
        """From addresses to the window: memory, register, rotation, padding."""
        window = self._window
        bank_rows, bank_columns = window.part
        width = window.lanes * window.input.width
        for (row, column), bank in self._banks.items():
            slot = Mux(row < rows.rotation, rows.other, rows.here) if row < bank_rows - 1 else (
                rows.here)
            offset = Mux(column < columns.rotation, columns.other, columns.here) if (
                column < bank_columns - 1) else columns.here
            address = Signal(len(bank.r_addr), name=f"r_address_{row}_{column}", reset_less=True)
            m.d.sync += address.eq(slot + offset)
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
        inside_rows = [delayed(m, f"inside_row_{k}", flag, self.latency - 1)[-1]
                       for k, flag in enumerate(rows.inside)]
        inside_columns = [delayed(m, f"inside_column_{k}", flag, self.latency - 1)[-1]
                          for k, flag in enumerate(columns.inside)]
        always = {(row, column): all(isinstance(flag, Const) for flag in (
            rows.inside[row], columns.inside[column])) for row, column in self._banks}
        # By columns, then by rows: two small multiplexers where one would be of all the banks.
        turned = {(row, column): _turned(m, f"turned_{row}_{column}", column_rotation, [
            self._banks[row, (column + turn) % bank_columns].r_data
            for turn in range(bank_columns)]) for row, column in self._banks}
        words = []
        for row, column in self._banks:
            word = _turned(m, f"word_{row}_{column}", row_rotation, [
                turned[(row + turn) % bank_rows, column] for turn in range(bank_rows)])
            part = Signal(width, name=f"part_{row}_{column}", reset_less=True)
            inside = inside_rows[row] & inside_columns[column]
            m.d.sync += part.eq(word if always[row, column] else Mux(inside, word, padding))
            words.append(part)
        m.d.comb += self.o.eq(Cat(words))


@dataclasses.dataclass(kw_only=True)
class _Step:
    """Where a :class:`WindowReader` stands: events of this cycle."""

    active: Value
    ready: Value
    column_part: Value
    row_part: Value
    column_last: Value
    row_last: Value
    pass_done: Value
    pass_last: Value
    pixel_done: Value
    row_done: Value
    frame_done: Value
    row: Value
    column: Value


@dataclasses.dataclass(kw_only=True)
class _Addresses:
    """One dimension of the banks' addresses: those from the rotation on, and those below it."""

    here: Value
    other: Value
    rotation: Value
    inside: list[Value]


def _wrapped(m, name: str, value: Value, size: int) -> Signal:
    """A sum below twice the size, less the size where it reaches it."""
    total = Signal(range(2 * size), name=f"{name}_sum")
    m.d.comb += total.eq(value)
    result = Signal(range(max(2, size)), name=name)
    m.d.comb += result.eq(Mux(total >= size, total - size, total))
    return result


def _choice(count: int) -> int:
    """LUTs of a bit that is chosen from so many."""
    return 0 if count == 1 else 1 if count <= 4 else math.ceil(count / 2)


def _turned(m, name: str, rotation: Value, sources: list[Value]) -> Value:
    """The source that the rotation says."""
    if len(sources) == 1:
        return sources[0]
    word = Signal(len(sources[0]), name=name)
    with m.Switch(rotation):
        for turn, source in enumerate(sources[:-1]):
            with m.Case(turn):
                m.d.comb += word.eq(source)
        with m.Default():
            m.d.comb += word.eq(sources[-1])
    return word


def delayed(m, name: str, value: Value, cycles: int, *, reset: bool = False) -> list[Signal]:
    """Registers that follow a value, one cycle after another."""
    stages = []
    for k in range(cycles):
        stage = Signal(len(value), name=f"{name}_{k + 1}", reset_less=not reset)
        m.d.sync += stage.eq(value)
        stages.append(stage)
        value = stage
    return stages


def fewest_for_each(count: int) -> list[int]:
    """For each number of parts that a count can be dealt out in, the least size of a part."""
    return sorted({math.ceil(count / math.ceil(count / size)) for size in range(1, count + 1)})
