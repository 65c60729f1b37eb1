"""A window that passes over the rows of a tile once for each group of output channels."""

import dataclasses
import functools
import math

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import DualPortMemory
from ..operator import Input
from .beats import count_steps
from .window import Window, delayed, stepwise


__all__ = ["TileReader", "Tiling"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """The order in which output pixels are made: tile by tile, and all pixels of a tile once for
    each group of output channels.

    Parameters
    ----------
    window : :class:`Window`
        Its part is one pixel, as is a beat.
    tile : :class:`int`
        Output rows of a tile, of the whole width each.
    passes : :class:`int`
        Groups of output channels.
    overlap : :class:`bool`
        Whether the buffer holds the next tile's rows beside those of a tile; else there is room
        for them only as the last group goes on. Of one group, that is always so.

    Raises
    ------
    ValueError
        If the tile does not divide the output's rows.
    """

    window: Window
    tile: int
    passes: int
    overlap: bool = True

    def __post_init__(self) -> None:
        rows = self.window.positions[0]
        if self.tile < 1 or rows % self.tile:
            raise ValueError(f"Tile must divide the {rows!r} rows of the output, "
                             f"not {self.tile!r}")

    @property
    def tiles(self) -> int:
        return self.window.positions[0] // self.tile

    @property
    def pixels(self) -> int:
        """Output pixels of a tile."""
        return self.tile * self.window.positions[1]

    @functools.cached_property
    def needs(self) -> np.ndarray:
        """Beats of the frame that each pass needs, shape (passes of a frame,)."""
        needs = np.tile(self.window.needs.reshape(self.tiles, -1), self.passes)
        return np.maximum.accumulate(needs.ravel())

    @functools.cached_property
    def frees(self) -> np.ndarray:
        """Beats of the frame that are needed no more after each pass: only those of a tile's last
        group free any."""
        last = self.window.frees.reshape(self.tiles, -1)
        before = np.concatenate([[0], last[:-1, -1]])
        earlier = np.repeat(before[:, None], (self.passes - 1) * self.pixels, axis=1)
        return np.concatenate([earlier, last], axis=1).ravel()

    @property
    def rows_held(self) -> int:
        """Rows of the buffer: at the least those with which the pixels of one output can arrive
        during the output before it, across the border of two frames too."""
        # Groups between the first and the last one neither need nor free any.
        return _rows_held(dataclasses.replace(self, passes=min(self.passes, 2)))

    @property
    def words(self) -> int:
        """Words of the buffer."""
        return self.rows_held * self.window.row_beats

    def buffered(self, *, steps: int) -> Input:
        """The input of an operator whose passes have so many steps."""
        return Input(beats=self.window.stream.beats, needs=self.needs, frees=self.frees,
                     places=self.words, entry=1, release=steps + TileReader.release)


@functools.lru_cache(maxsize=4096)
def _rows_held(tiling: Tiling) -> int:
    tiling = dataclasses.replace(tiling)  # its own is kept: without what is worked out here
    window, beats = tiling.window, tiling.window.stream.beats
    gap = np.append(tiling.needs[1:], window.needs[0] + beats) - np.concatenate(
        [[tiling.frees[-1] - beats], tiling.frees[:-1]])
    # A pixel's places are free, and its data there, cycles later.
    most = int(gap.max()) + (4 * window.groups if len(tiling.needs) > 1 else 0)
    if tiling.overlap and tiling.passes > 1:
        # From the start of a tile on, all that the next one needs may come.
        ends = window.needs.reshape(tiling.tiles, -1).max(1)
        freed = window.frees.reshape(tiling.tiles, -1)[:, -1]
        span = np.append(ends[1:], ends[0] + beats) - np.append(0, freed[:-1])
        most = max(most, int(span.max()))
    return max(window.extent[0], math.ceil(most / window.row_beats))


@dataclasses.dataclass(kw_only=True)
class _Step:
    """Where a :class:`TileReader` stands: events of this cycle."""

    active: Value
    ready: Value
    column_part: Value
    row_part: Value
    pass_done: Value
    row_done: Value
    group_done: Value
    tile_done: Value
    frame_done: Value
    first_group: Value
    last_group: Value
    row: Signal
    column: Signal


class TileReader(wiring.Component):
    """The buffer of a :class:`Tiling`, and the control of the passes over it.

    A pass reads the window of a pixel, a channel group in each of its steps. Frames follow one
    another without a gap.

    Parameters
    ----------
    tiling : :class:`Tiling`
    pad : :class:`int`
        What the window holds where there is no pixel, in the input's element.
    flip : :class:`bool`
        Invert the highest bit of each value: unsigned ones become signed, less half their range.
    cycles, rest : :class:`int`
        From a pass to the next, at the least its steps; and so many more after a group's last.

    Members
    -------
    i : :py:`In(stream.Signature(...))`
    enough : :py:`In(1)`
        Whether a pass may be issued.
    issue : :py:`Out(1)`
        A pass is issued; its first step is in this cycle.
    group_issued : :py:`Out(1)`
        It is the last one of its group.
    ahead, last, turn : :py:`Out(1)`
        One cycle before a step's window: a step, a pass's last one, a group's last one.
    first : :py:`Out(1)`
        With a step's window, :attr:`latency` cycles after the step: a pass's first one.
    o : :py:`Out(unsigned(...))`
        The window's part, the first lane in the lowest bits.
    """

    latency = 4
    release = 1  # cycles from a pass's last step to the first transfer into a place that it freed

    def __init__(self, tiling: Tiling, *, pad: int, flip: bool, cycles: int, rest: int = 0):
        self._tiling = tiling
        self._window = window = tiling.window
        self._pad = pad
        self._flip = flip
        self._cycles = cycles
        self._rest = rest
        super().__init__({
            "i": In(window.stream.signature), "enough": In(1),
            "issue": Out(1), "group_issued": Out(1),
            "ahead": Out(1), "last": Out(1), "turn": Out(1), "first": Out(1),
            "o": Out(window.lanes * window.input.width),
        })

    @staticmethod
    def cost(tiling: Tiling, device: Device) -> Resources:
        """What it takes.

        Constants of the control are a fit to Yosys' counts; padding is its registers' reset.
        """
        window = tiling.window
        width, address = window.stream.width, max(1, (tiling.words - 1).bit_length())
        padded = any(window.padding)
        counters = sum((count - 1).bit_length() for count in (
            window.groups, *window.kernel, *window.positions, tiling.tile, tiling.passes))
        return DualPortMemory.cost(width=width, depth=tiling.words, device=device) + Resources(
            lut=4 * counters + 8 * address + 50 * padded,
            ff=2 * width + 17 + 3 * counters // 2 + 8 * address + 37 * padded)

    def elaborate(self, platform):
        m = Module()
        step = self._steps(m)
        self._admission(m, step)
        slot, inside_rows = self._rows(m, step)
        offset, inside_columns = self._columns(m, step)
        bank = self._write(m)
        self._read(m, bank, step, slot + offset, [*inside_rows, *inside_columns])
        return m

    def _steps(self, m) -> _Step:
        """Counters of steps, pixels, groups and tiles, and when a pass is issued."""
        window, tiling = self._window, self._tiling
        rows, columns = window.positions
        running, active = Signal(), Signal()
        m.d.comb += active.eq(self.issue | running)
        _, column_part = count_steps(m, "channel_group", active, window.groups)
        _, row_part = count_steps(m, "kernel_column", column_part, window.kernel[1])
        _, pass_done = count_steps(m, "kernel_row", row_part, window.kernel[0])
        m.d.sync += running.eq(active & ~pass_done)
        column, row_done = count_steps(m, "column", pass_done, columns)

        row = Signal(range(max(2, rows)))
        first_row = Signal.like(row)
        tile_row = Signal(range(max(2, tiling.tile)))
        row_last, tile_last = Signal(), Signal()
        m.d.comb += [row_last.eq(row == rows - 1), tile_last.eq(tile_row == tiling.tile - 1)]
        group_done, tile_done, frame_done = (
            Signal(name=name) for name in ("group_done", "tile_done", "frame_done"))
        group, _ = count_steps(m, "output_group", group_done, tiling.passes)
        last_group = Signal()
        m.d.comb += [last_group.eq(group == tiling.passes - 1),
                     group_done.eq(row_done & tile_last), tile_done.eq(group_done & last_group),
                     frame_done.eq(tile_done & row_last)]
        after = Mux(row_last, 0, row + 1)
        with m.If(row_done):
            m.d.sync += [row.eq(Mux(group_done & ~last_group, first_row, after)),
                         tile_row.eq(Mux(group_done, 0, tile_row + 1))]
        with m.If(tile_done):
            m.d.sync += first_row.eq(after)
        m.d.comb += self.group_issued.eq(self.issue & tile_last & (column == columns - 1))

        ready = Signal(init=1)
        pauses = self._cycles - 1, self._cycles - 1 + self._rest
        if pauses[1]:
            left = Signal(range(pauses[1] + 1))
            m.d.sync += ready.eq(left <= 1)
            with m.If(self.issue):
                m.d.sync += [
                    left.eq(Mux(self.group_issued, pauses[1], pauses[0])),
                    ready.eq(Mux(self.group_issued, not pauses[1], not pauses[0]))]
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)
        return _Step(active=active, ready=ready, column_part=column_part, row_part=row_part,
                     pass_done=pass_done, row_done=row_done, group_done=group_done,
                     tile_done=tile_done, frame_done=frame_done, first_group=group == 0,
                     last_group=last_group, row=row, column=column)

    def _admission(self, m, step: _Step) -> None:
        """Whether the next pixel's beats are there, and whether there is room for a beat."""
        window, places = self._window, self._tiling.words
        beats = window.stream.beats
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)

        needs = window.needs.reshape(window.positions)
        along = np.append(np.diff(needs[0]), 0)
        down = np.append(needs[1:, 0], needs[0, 0] + beats) - needs[:, -1]
        # What a tile's pixels need is there when its first group is through.
        counts = Mux(step.group_done, step.last_group, step.pass_done & step.first_group)
        more = Mux(step.row_done, stepwise(step.row, down), stepwise(step.column, along))
        most = int(max(down.max(), along.max(), needs[0, 0]))
        over = max(0, int((window.frees - window.needs).max()))
        slack = Signal(range(-most, places + over + 2), init=-int(needs[0, 0]))
        m.d.sync += slack.eq(slack + taken - Mux(counts, more, 0))
        m.d.comb += self.issue.eq(step.ready & ~slack[-1] & self.enough)

        frees = window.frees.reshape(window.positions)
        starts = np.concatenate([[0], frees[:-1, -1]])
        within = np.diff(np.concatenate([starts[:, None], frees], axis=1), axis=1)
        passing = within[:, :-1].any(axis=1)  # rows in which places are freed pixel by pixel
        freed = Mux(
            step.row_done, stepwise(step.row, within[:, -1]),
            Mux(stepwise(step.row, passing), stepwise(step.column, within[passing.argmax()]), 0))
        room = Signal(range(-2, places + over + 2), init=places - 1)  # less one
        credit = Signal.like(freed, reset_less=True)
        credited = Signal()
        m.d.sync += [credit.eq(freed), credited.eq(step.pass_done & step.last_group)]
        m.d.sync += room.eq(room - taken + Mux(credited, credit, 0))
        m.d.comb += self.i.ready.eq(~room[-1])

    def _write(self, m) -> DualPortMemory:
        """The buffer, and the beats into it: rows follow one another, around."""
        window = self._window
        word = Value.cast(self.i.payload)
        if self._flip:
            mask = sum(1 << window.input.width * (lane + 1) - 1 for lane in range(window.lanes))
            word = word ^ Const(mask, len(word))
        m.submodules.bank = bank = DualPortMemory(width=len(word), depth=self._tiling.words)
        taken = Signal()
        data = Signal(len(word), reset_less=True)
        m.d.sync += [taken.eq(self.i.valid & self.i.ready), data.eq(word)]
        address, _ = count_steps(m, "w_address", taken, self._tiling.words)
        m.d.comb += [bank.w_en.eq(taken), bank.w_addr.eq(address), bank.w_data.eq(data)]
        return bank

    def _rows(self, m, step: _Step) -> tuple[Signal, list[Value]]:
        """Where the row that is read begins, and what says that it is on the map."""
        window, held = self._window, self._tiling.rows_held
        words, size = window.row_beats, self._tiling.words
        top, stride = window.padding[0], window.strides[0]
        jump = window.input.rows - (window.positions[0] - 1) * stride
        first = -top % held * words

        def onward(slot: Signal, rows: int) -> Value:
            by = rows % held * words
            return Mux(slot >= size - by, slot - (size - by), slot + by) if by else slot

        tile, pixel, here = (Signal(range(max(2, size)), init=first, name=name)
                             for name in ("tile_slot", "pixel_slot", "slot"))
        following = Signal.like(here, name="next_slot", init=0)
        m.d.comb += following.eq(Mux(
            step.group_done & ~step.last_group, tile,
            Mux(step.frame_done, onward(pixel, jump), onward(pixel, stride))))
        with m.If(step.tile_done):
            m.d.sync += tile.eq(following)
        with m.If(step.row_done):
            m.d.sync += [pixel.eq(following), here.eq(following)]
        with m.Elif(step.pass_done):
            m.d.sync += here.eq(pixel)
        with m.Elif(step.row_part):
            m.d.sync += here.eq(onward(here, window.dilations[0]))

        rows = window.input.rows
        last = (window.positions[0] - 1) * stride - top
        if top == 0 and last + window.extent[0] <= rows:
            return here, []
        bits = range(-top, max(rows, last + window.extent[0] + stride) + 1)
        tile_y, pixel_y, y = (Signal(bits, init=-top, name=name)
                              for name in ("tile_y", "pixel_y", "y"))
        next_y = Signal(bits)
        m.d.comb += next_y.eq(Mux(step.group_done & ~step.last_group, tile_y,
                                  Mux(step.frame_done, -top, pixel_y + stride)))
        with m.If(step.tile_done):
            m.d.sync += tile_y.eq(next_y)
        with m.If(step.row_done):
            m.d.sync += [pixel_y.eq(next_y), y.eq(next_y)]
        with m.Elif(step.pass_done):
            m.d.sync += y.eq(pixel_y)
        with m.Elif(step.row_part):
            m.d.sync += y.eq(y + window.dilations[0])
        return here, [y >= 0, y < rows]

    def _columns(self, m, step: _Step) -> tuple[Signal, list[Value]]:
        """Where in the row the beat is that is read, and what says that it is on the map."""
        window = self._window
        left, stride, dilation = window.padding[1], window.strides[1], window.dilations[1]
        groups, columns = window.groups, window.input.columns
        last = (window.positions[1] - 1) * stride - left
        beyond = last + window.extent[1] + stride

        def follow(name: str, each: int, grouped: int) -> Signal:
            """A count of so many for a column, and so many for a channel group."""
            bits = range(-left * each, (beyond + dilation) * each + 1)
            pixel = Signal(bits, init=-left * each, name=f"pixel_{name}")
            here = Signal(bits, init=-left * each, name=name)
            following = Signal(bits, name=f"next_{name}")
            m.d.comb += following.eq(Mux(step.row_done, -left * each, pixel + stride * each))
            with m.If(step.pass_done):
                m.d.sync += [pixel.eq(following), here.eq(following)]
            with m.Elif(step.row_part):
                m.d.sync += here.eq(pixel)
            with m.Elif(step.column_part):
                m.d.sync += here.eq(here + (dilation * each - grouped * (groups - 1)))
            with m.Elif(step.active):
                m.d.sync += here.eq(here + grouped)
            return here

        offset = follow("offset", groups, 1)
        if left == 0 and last + window.extent[1] <= columns:
            return offset, []
        x = follow("x", 1, 0)
        return offset, [x >= 0, x < columns]

    def _read(self, m, bank: DualPortMemory, step: _Step, place: Value,
              inside: list[Value]) -> None:
        """From addresses to the window: memory, register, padding."""
        window = self._window
        address = Signal(len(bank.r_addr), reset_less=True)
        m.d.sync += address.eq(place)
        m.d.comb += bank.r_addr.eq(address)
        early = self.latency - 1
        for name, port, event in (("active", self.ahead, step.active),
                                  ("last", self.last, step.pass_done),
                                  ("turn", self.turn, step.group_done)):
            m.d.comb += port.eq(delayed(m, name, event, early, reset=True)[-1])
        first = Signal(init=1)
        with m.If(step.active):
            m.d.sync += first.eq(step.pass_done)
        m.d.comb += self.first.eq(delayed(m, "first", first, self.latency)[-1])

        part = Signal(len(self.o), reset_less=True)
        word = bank.r_data
        if inside:
            pad = self._pad ^ (1 << window.input.width - 1 if self._flip else 0)
            padding = Const(pad & (1 << window.input.width) - 1, window.input.width)
            word = Mux(delayed(m, "inside", Cat(inside).all(), early)[-1], word,
                       padding.replicate(window.lanes))
        m.d.sync += part.eq(word)
        m.d.comb += self.o.eq(part)
