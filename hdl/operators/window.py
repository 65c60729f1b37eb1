"""Sliding windows: which pixels a kernel needs, and when."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from amaranth import *

from ..operator import FeatureMap, Input, StreamShape


__all__ = ["Window", "constants_shape", "delayed", "fewest_for_each", "shared_window",
           "stepwise"]


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

    release = 1  # cycles from a pixel's last step to the first transfer into a place that it freed

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

    @functools.cached_property
    def stream(self) -> StreamShape:
        """How the map comes in."""
        return StreamShape(map=self.input, lanes=self.lanes, pixels=self.pixels)

    @property
    def row_beats(self) -> int:
        """Beats of a row."""
        return self.input.columns // self.pixels * self.groups

    @functools.cached_property
    def padded(self) -> tuple[int, int]:
        """Rows and columns with padding."""
        top, left, bottom, right = self.padding
        return self.input.rows + top + bottom, self.input.columns + left + right

    @functools.cached_property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the kernel's first to its last."""
        return ((self.kernel[0] - 1) * self.dilations[0] + 1,
                (self.kernel[1] - 1) * self.dilations[1] + 1)

    @functools.cached_property
    def positions(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return ((self.padded[0] - self.extent[0]) // self.strides[0] + 1,
                (self.padded[1] - self.extent[1]) // self.strides[1] + 1)

    @functools.cached_property
    def groups(self) -> int:
        """Beats of a pixel."""
        return math.ceil(self.input.channels / self.lanes)

    @functools.cached_property
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

    @property
    def row_moves(self) -> tuple[int, int]:
        """Rows from a row of positions to the next, and from the last one to the next frame's
        first, around in the line buffer."""
        jump = self.input.rows - (self.positions[0] - 1) * self.strides[0]
        return self.strides[0] % self.rows_held, jump % self.rows_held

    @property
    def slots(self) -> int:
        """Rows of the line buffer in one bank."""
        return self.rows_held // self.part[0]

    @property
    def row_words(self) -> int:
        """Words of a row in one bank; the padding on the left has places, too."""
        return math.ceil((self.input.columns + self.padding[1]) / self.part[1]) * self.groups

    def buffered(self, *, passes: int, steps: int) -> Input:
        """The input of an operator that makes this many passes of so many steps for a pixel."""
        frees = np.concatenate([[0], self.frees[:-1]]).repeat(passes)
        frees[passes - 1::passes] = self.frees
        return Input(beats=self.stream.beats, needs=self.needs.repeat(passes),
                     frees=frees, places=self.rows_held * self.row_beats, entry=1,
                     release=steps + self.release)


# Foldings that differ in something else have the same window, and what is worked out of it, too.
shared_window = functools.lru_cache(maxsize=1024)(Window)


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
    result: Value = Const(values[-1], constants_shape(values))
    for at in range(len(values) - 1, 0, -1):
        if values[at] != values[at - 1]:
            result = Mux(index < at, Const(values[at - 1], constants_shape(values)), result)
    return result


def constants_shape(values: Sequence[int]) -> Shape:
    """That of all of them; unsigned where none is negative."""
    return Shape.cast(range(min(values), max(values) + 1)) if min(values) < max(values) else (
        Shape.cast(range(min(0, min(values)), max(values) + 1)))


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
