"""Sliding windows: which pixels a kernel needs, when, and the line buffers that hold them."""

import dataclasses
import functools
import math

import numpy as np

from ..operator import FeatureMap, Input


__all__ = ["Window"]


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
    lanes : :class:`int`
        Folding: channels that are read at once.
    part : pair of :class:`int`
        Folding: kernel rows and columns that are read at once.

    Raises
    ------
    ValueError
        If the padded map is smaller than the kernel, or a folding is larger than what it folds.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    lanes: int = 1
    part: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if min(self.kernel) < 1 or min(self.strides) < 1 or min(self.padding) < 0:
            raise ValueError(f"Kernel and strides must be positive and padding not negative, "
                             f"not {self.kernel!r}, {self.strides!r} and {self.padding!r}")
        if min(self.padded[0] - self.kernel[0], self.padded[1] - self.kernel[1]) < 0:
            raise ValueError(f"Kernel {self.kernel!r} is larger than the padded map "
                             f"{self.padded!r}")
        if not 1 <= self.lanes <= self.input.channels:
            raise ValueError(f"Lanes must be between 1 and {self.input.channels!r} channels, "
                             f"not {self.lanes!r}")
        if not (1 <= self.part[0] <= self.kernel[0] and 1 <= self.part[1] <= self.kernel[1]):
            raise ValueError(f"Part must be between 1 x 1 and the kernel {self.kernel!r}, "
                             f"not {self.part!r}")

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns with padding."""
        top, left, bottom, right = self.padding
        return self.input.rows + top + bottom, self.input.columns + left + right

    @property
    def positions(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return ((self.padded[0] - self.kernel[0]) // self.strides[0] + 1,
                (self.padded[1] - self.kernel[1]) // self.strides[1] + 1)

    @property
    def groups(self) -> int:
        """Beats of a pixel."""
        return math.ceil(self.input.channels / self.lanes)

    @property
    def parts(self) -> tuple[int, int]:
        """Parts of the kernel, in rows and columns."""
        return (math.ceil(self.kernel[0] / self.part[0]),
                math.ceil(self.kernel[1] / self.part[1]))

    def gather(self, x: np.ndarray, pad: int) -> np.ndarray:
        """Windows, shape (frames, rows, columns, kernel rows, kernel columns, channels)."""
        top, left, bottom, right = self.padding
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=(1, 2))
        windows = windows[:, ::self.strides[0], ::self.strides[1]]
        return windows.transpose(0, 1, 2, 4, 5, 3)

    @functools.cached_property
    def needs(self) -> np.ndarray:
        """Beats of the frame that each output pixel needs, shape (positions,)."""
        rows, columns = self._extent(0), self._extent(1)
        return ((rows[:, None] * self.input.columns + columns + 1) * self.groups).ravel()

    def _extent(self, axis: int) -> np.ndarray:
        size = (self.input.rows, self.input.columns)[axis]
        last = (np.arange(self.positions[axis]) * self.strides[axis] - self.padding[axis]
                + self.kernel[axis] - 1)
        return np.clip(last, 0, size - 1)

    @functools.cached_property
    def frees(self) -> np.ndarray:
        """Beats of the frame that are needed no more after each output pixel.

        May exceed what has arrived: strides, and the edges of the map, skip pixels.
        """
        rows, columns = self.positions
        starts = np.arange(rows + 1) * self.strides[0] - self.padding[0]
        top = np.clip(starts, 0, self.input.rows) * self.input.columns
        passed = np.clip((np.arange(columns) + 1) * self.strides[1] - self.padding[1],
                         0, self.input.columns)
        frees = np.minimum(top[:-1, None] + passed, top[1:, None])
        frees[-1] = top[-2] + passed
        frees[:-1, -1] = top[1:-1]
        frees[-1, -1] = self.input.pixels
        return frees.ravel() * self.groups

    @functools.cached_property
    def rows_held(self) -> int:
        """Rows of the line buffer.

        The least with which the pixels of one output can arrive during the output before it, across
        the border of two frames too; a multiple of the part, as rows go to its banks in turn.
        """
        beats = self.input.pixels * self.groups
        needs = np.append(self.needs[1:], self.needs[0] + beats)
        before = np.concatenate([[self.frees[-1] - beats], self.frees[:-1]])
        row = self.input.columns * self.groups
        gap = int((needs - before).max())
        if self.needs.size > 1:
            gap += 4 * self.groups  # a pixel's places are free, and its data there, cycles later
        held = max(self.kernel[0], math.ceil(gap / row))
        return math.ceil(held / self.part[0]) * self.part[0]

    def buffered(self, *, passes: int, steps: int) -> Input:
        """The input of an operator that makes this many passes of so many steps for a pixel."""
        frees = np.concatenate([[0], self.frees[:-1]]).repeat(passes)
        frees[passes - 1::passes] = self.frees
        return Input(beats=self.input.pixels * self.groups, needs=self.needs.repeat(passes),
                     frees=frees, places=self.rows_held * self.input.columns * self.groups,
                     entry=1, release=steps)
