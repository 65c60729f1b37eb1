"""The order of a map restored: channel groups that came one after another, side by side again."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import DualPortMemory
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import count_steps, full_rate_places, give_beats
from .depthwise import divisors
from .window import delayed


__all__ = ["Reorder", "Reorderer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reorder:
    """A map in raster order, of one that comes tile by tile, and each tile channel group after
    channel group, as :class:`StreamedConvolution` makes it.

    Parameters
    ----------
    output : :class:`FeatureMap`
    group : :class:`int`
        Channels of a group; those of the last one beyond the map's are dropped.
    tile : :class:`int`
        Pixels of a tile.
    lanes : :class:`int`
        Folding: channels at once.
    tiles_held : :class:`int`
        Folding: 2, or 1 where a tile is taken in only as the one before it is given.

    Raises
    ------
    ValueError
        If a parameter does not divide what it folds.
    """

    output: FeatureMap
    group: int
    tile: int
    lanes: int = 1
    tiles_held: int = 2

    def __post_init__(self) -> None:
        if self.tile < 1 or self.output.pixels % self.tile:
            raise ValueError(f"Tile must divide the {self.output.pixels!r} pixels, "
                             f"not {self.tile!r}")
        if self.lanes < 1 or self.group % self.lanes or self.lanes > self.output.channels:
            raise ValueError(f"Lanes must divide the {self.group!r} channels of a group, and be at "
                             f"most all {self.output.channels!r}, not {self.lanes!r}")
        if self.tiles_held not in (1, 2):
            raise ValueError(f"One tile is held, or two, not {self.tiles_held!r}")

    @property
    def passes(self) -> int:
        """Groups of channels."""
        return math.ceil(self.output.channels / self.group)

    @property
    def group_words(self) -> int:
        """Beats of a pixel in a group."""
        return self.group // self.lanes

    @property
    def pixel_words(self) -> int:
        """Beats of a pixel in all groups."""
        return self.passes * self.group_words

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        made = self.output.resized(rows=self.passes * self.output.rows, channels=self.group)
        return (StreamShape(map=made, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    # From an issue to the word that it reads: the address waits for what was written last.
    stages = 1 + DualPortMemory.latency

    @property
    def interval(self) -> int:
        # From the first beat of a tile given to that of the one whose places it frees.
        given = self.tile * self.outputs[0].groups
        turn = given
        if self.passes > 1:
            turn += ((self.passes - 2) * self.tile + 2) * self.group_words
        tiles = self.output.pixels // self.tile
        return max(self.inputs[0].beats, tiles * turn // self.tiles_held)

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        split = x.reshape(len(x), -1, self.passes, self.tile, self.group)
        whole = split.swapaxes(2, 3).reshape(*x.shape[:1], *self.output.shape[:2], -1)
        return (whole[..., :self.output.channels],)

    @property
    def _waited(self) -> int:
        """Beats of a tile that its first pixel needs."""
        return ((self.passes - 1) * self.tile + 1) * self.group_words

    def timing(self) -> Timing:
        groups, tiles = self.outputs[0].groups, self.output.pixels // self.tile
        tile_words = self.tile * self.pixel_words
        first = np.arange(tiles)[:, None] * tile_words
        pixel = np.arange(self.tile)
        needs = first + self._waited + pixel * self.group_words
        frees = first + (pixel + 1) * self.group_words
        frees[:, -1] = first[:, 0] + tile_words
        before = np.concatenate([[0], frees.ravel()[:-1]]).repeat(groups)
        before[groups - 1::groups] = frees.ravel()
        issues = np.arange(1, self.outputs[0].beats + 1)
        return Timing(
            inputs=(Input(beats=self.inputs[0].beats, needs=needs.ravel().repeat(groups),
                          frees=before, places=self.tiles_held * tile_words, entry=1, release=1),),
            outputs=(Output(makes=issues, depth=self.stages + OutputQueue.latency,
                            places=full_rate_places(self.stages), back=OutputQueue.back),),
            cycles=np.ones_like(issues))

    def resources(self, device: Device) -> Resources:
        width = self.outputs[0].width
        words = self.tiles_held * self.tile * self.pixel_words
        queue = OutputQueue.cost(width=width, places=full_rate_places(self.stages), device=device)
        address, pixels = (words - 1).bit_length(), (self.tile - 1).bit_length()
        return queue + DualPortMemory.cost(width=width, depth=words, device=device) + Resources(
            lut=7 * address + 3 * pixels + 20, ff=width + 6 * address + 2 * pixels + 27)

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes, tiles_held=held)
                for lanes in divisors(self.group) if lanes <= self.output.channels
                for held in (1, 2))

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "Reorderer":
        return Reorderer(self)


class Reorderer(wiring.Component):
    """Hardware of :class:`Reorder`; a beat per cycle.

    Members
    -------
    i, o : streams
        Of :attr:`Reorder.inputs` and :attr:`Reorder.outputs`.
    """

    def __init__(self, spec: Reorder):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, output = self._spec, self._spec.outputs[0]
        taken, issue = Signal(), Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        _, pixel_done = count_steps(m, "beat", issue, output.groups)
        _, tile_done = count_steps(m, "pixel", pixel_done, spec.tile)

        tile_words = spec.tile * spec.pixel_words
        places = spec.tiles_held * tile_words
        slack = Signal(range(-spec._waited, places + 1), init=-spec._waited)
        onward = spec.group_words
        beyond = tile_words - (spec.tile - 1) * onward
        m.d.sync += slack.eq(slack + taken - Mux(
            pixel_done, Mux(tile_done, beyond, onward), 0))
        room = Signal(range(-1, places), init=places - 1)  # less one
        m.d.sync += room.eq(room - taken + Mux(pixel_done, Mux(tile_done, beyond, onward), 0))
        m.d.comb += self.i.ready.eq(~room[-1])

        m.submodules.queue = queue = OutputQueue(output.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += [issue.eq(queue.enough & ~slack[-1]), queue.need.eq(1),
                     queue.reserve.eq(issue)]
        m.submodules.tiles = tiles = DualPortMemory(width=output.width, depth=places)
        self._write(m, tiles, taken)
        self._read(m, tiles, issue, pixel_done)
        valid = delayed(m, "valid", issue, spec.stages, reset=True)[-1]
        give_beats(m, queue, output, valid=valid, word=tiles.r_data)
        return m

    def _write(self, m, tiles: DualPortMemory, taken: Value) -> None:
        """Each beat to its pixel's words."""
        spec = self._spec
        places = spec.tiles_held * spec.tile * spec.pixel_words
        _, beat_last = count_steps(m, "w_beat", taken, spec.group_words)
        _, group_done = count_steps(m, "w_pixel", beat_last, spec.tile)
        _, tile_done = count_steps(m, "w_group", group_done, spec.passes)
        address, start = (Signal(range(max(2, places)), name=name)
                          for name in ("w_address", "w_start"))
        following = Signal.like(start, name="next_start")
        # A tile's last beat goes to its last word.
        beyond = Mux(address == places - 1, 0, address + 1)
        m.d.comb += following.eq(Mux(tile_done, beyond, start + spec.group_words))
        with m.If(group_done):
            m.d.sync += [start.eq(following), address.eq(following)]
        with m.Elif(beat_last):
            m.d.sync += address.eq(address + (spec.pixel_words - spec.group_words + 1))
        with m.Elif(taken):
            m.d.sync += address.eq(address + 1)
        late = Signal.like(address, name="w_address_late", reset_less=True)
        word = Signal(len(tiles.w_data), reset_less=True)
        writes = Signal()
        m.d.sync += [late.eq(address), word.eq(Value.cast(self.i.payload)), writes.eq(taken)]
        m.d.comb += [tiles.w_en.eq(writes), tiles.w_addr.eq(late), tiles.w_data.eq(word)]

    def _read(self, m, tiles: DualPortMemory, issue: Value, pixel_done: Value) -> None:
        """A pixel's words but those beyond the channels, pixel after pixel."""
        spec = self._spec
        places = spec.tiles_held * spec.tile * spec.pixel_words
        skip = spec.pixel_words - spec.outputs[0].groups
        address = Signal(range(max(2, places)), name="r_address")
        with m.If(pixel_done):
            m.d.sync += address.eq(Mux(address == places - 1 - skip, 0, address + 1 + skip))
        with m.Elif(issue):
            m.d.sync += address.eq(address + 1)
        late = Signal.like(address, name="r_address_late", reset_less=True)
        m.d.sync += late.eq(address)
        m.d.comb += tiles.r_addr.eq(late)
