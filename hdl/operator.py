"""What every operator's spec answers, and the streams that pass between operators."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, Self

import numpy as np
from amaranth import *
from amaranth.lib import data, stream, wiring

from .device import Device, Resources


__all__ = ["Constants", "FeatureMap", "Input", "Operator", "Output", "StreamShape", "Timing"]


class Constants:
    """An immutable integer array that compares and hashes by its content's digest.

    Parameters
    ----------
    values : array of integers
        Any shape; copied as 64-bit integers.
    """

    def __init__(self, values):
        values = np.array(values)
        if values.dtype.kind not in "iub" and values.size:
            raise TypeError(f"Constants must be integers, not {values.dtype}")
        self._values = values.astype(np.int64)
        self._values.setflags(write=False)
        key = f"{self._values.shape}".encode() + self._values.tobytes()
        self._digest = hashlib.sha256(key).hexdigest()[:32]

    @property
    def values(self) -> np.ndarray:
        """They themselves, 64 bits each; not to be changed."""
        return self._values

    @property
    def digest(self) -> str:
        """Of shape and values: 32 hexadecimal digits."""
        return self._digest

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self._values.shape

    @functools.cached_property
    def row_sums(self) -> np.ndarray:
        """The sum of the values of each row, shape (rows,): of weights, of each output channel."""
        return self._values.reshape(len(self._values), -1).sum(axis=1)

    def __eq__(self, other):
        return isinstance(other, Constants) and self._digest == other._digest

    def __hash__(self):
        return hash(self._digest)

    def __repr__(self):
        return f"Constants({'x'.join(map(str, self.shape))} {self._digest[:8]})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """The values that cross one stream in one frame.

    Parameters
    ----------
    rows, columns, channels : :class:`int`
        Size; a vector has one row and one column.
    width : :class:`int`
        Bits of a value.
    signed : :class:`bool`
        Whether values are two's complement.
    """

    rows: int
    columns: int
    channels: int
    width: int = 8
    signed: bool = True

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.channels) < 1:
            raise ValueError(f"Rows, columns and channels must be positive, not {self.rows!r}, "
                             f"{self.columns!r} and {self.channels!r}")
        if not 1 <= self.width <= 16:
            raise ValueError(f"Width must be between 1 and 16 bits, not {self.width!r}")

    @property
    def pixels(self) -> int:
        """Of a frame."""
        return self.rows * self.columns

    @property
    def size(self) -> int:
        """Values in a frame."""
        return self.pixels * self.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, channels."""
        return self.rows, self.columns, self.channels

    @property
    def low(self) -> int:
        """The least value that an element holds."""
        return -(1 << self.width - 1) if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest value that an element holds."""
        return (1 << self.width - 1) - 1 if self.signed else (1 << self.width) - 1

    @property
    def element(self) -> Shape:
        """One value, in hardware."""
        return Shape(self.width, self.signed)

    def resized(self, **changes) -> "FeatureMap":
        """The same with another size or element."""
        return dataclasses.replace(self, **changes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamShape:
    """How a feature map crosses a stream.

    A beat is ``lanes`` channels of one pixel, unused lanes of a pixel's last beat zero; or
    ``pixels`` whole pixels of one row (then ``lanes`` is all channels, and the row divides).
    Pixels follow in raster order, element 0 of a beat in the lowest bits.

    Parameters
    ----------
    map : :class:`FeatureMap`
        What crosses it.
    lanes, pixels : :class:`int`
        Channels, and pixels, of a beat.
    """

    map: FeatureMap
    lanes: int = 1
    pixels: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= self.map.channels:
            raise ValueError(f"Lanes must be between 1 and {self.map.channels!r} channels, "
                             f"not {self.lanes!r}")
        if self.pixels < 1 or (self.pixels > 1 and (self.lanes != self.map.channels
                                                    or self.map.columns % self.pixels)):
            raise ValueError(f"{self.pixels!r} pixels of {self.lanes!r} lanes do not divide rows "
                             f"of {self.map.columns!r} pixels of {self.map.channels!r} channels")

    @property
    def groups(self) -> int:
        """Beats of a pixel."""
        return math.ceil(self.map.channels / self.lanes)

    @property
    def beats(self) -> int:
        """Beats of a frame."""
        return self.map.pixels // self.pixels * self.groups

    @property
    def elements(self) -> int:
        """Values of a beat; those of one pixel at most where it has no more than one."""
        return self.lanes * self.pixels

    @classmethod
    def of(cls, values: FeatureMap, elements: int) -> "StreamShape":
        """The one whose beats have so many values: more than the channels are whole pixels."""
        if elements <= values.channels:
            return cls(map=values, lanes=elements)
        return cls(map=values, lanes=values.channels, pixels=elements // values.channels)

    @property
    def width(self) -> int:
        """Bits of a beat."""
        return self.elements * self.map.width

    @property
    def layout(self) -> data.ArrayLayout:
        """A beat, in hardware: element 0 in the lowest bits."""
        return data.ArrayLayout(self.map.element, self.elements)

    @property
    def signature(self) -> stream.Signature:
        """Of the stream."""
        return stream.Signature(self.layout)

    def pack(self, frames: np.ndarray) -> np.ndarray:
        """Frames, shape (frames, rows, columns, channels), as beats, shape (beats, elements)."""
        if self.pixels > 1:
            return frames.reshape(-1, self.elements)
        flat = frames.reshape(-1, self.map.channels)
        padded = np.pad(flat, ((0, 0), (0, self.groups * self.lanes - self.map.channels)))
        return padded.reshape(-1, self.lanes)

    def unpack(self, beats: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`pack`."""
        if self.pixels > 1:
            return beats.reshape(-1, *self.map.shape)
        pixels = beats.reshape(-1, self.groups * self.lanes)[:, :self.map.channels]
        return pixels.reshape(-1, *self.map.shape)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Input:
    """How a frame's issues use one input stream.

    Parameters
    ----------
    beats : :class:`int`
        Beats of a frame.
    needs : integers, shape (issues,)
        Beats of the frame, counted from its start, without which the issue cannot happen.
    frees : integers, shape (issues,)
        Beats of the frame, counted likewise, whose places are free again after the issue.
    places : :class:`int`
        Beats that the operator's buffer holds; 0 where an issue takes its beats itself.
    entry : :class:`int`
        Cycles from a transfer to the first issue that can use the beat.
    release : :class:`int`
        Cycles from an issue to the first transfer into a place that it freed.
    gap : :class:`int`
        Cycles from a transfer into a buffer to the next, at the least.
    """

    beats: int
    needs: np.ndarray
    frees: np.ndarray
    places: int = 0
    entry: int = 0
    release: int = 0
    gap: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """How a frame's issues feed one output stream.

    Parameters
    ----------
    makes : integers, shape (issues,)
        Beats of the frame made, the issue's own included.
    depth : :class:`int`
        Cycles from an issue to the offer of its first beat; the others follow one by one.
    places : :class:`int`
        Beats that the output queue holds, those still under way included.
    back : :class:`int`
        Cycles from a beat's transfer to the first issue that can use its place.
    """

    makes: np.ndarray
    depth: int
    places: int
    back: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """When an operator takes and gives its beats.

    An issue happens as soon as its beats are there, the cycles of the issue before it have passed,
    and every output queue has places for what it makes; what has been issued never stops.

    Parameters
    ----------
    inputs, outputs : tuples of :class:`Input` and :class:`Output`
        One for each stream.
    cycles : integers, shape (issues,)
        Cycles to the next issue at the earliest; the last one's to the next frame's first.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    cycles: np.ndarray


class Operator(Protocol):
    """One operator of a network: what it computes and how it is folded.

    Implementations are frozen dataclasses that validate themselves. The frontend makes them at
    their smallest folding, the optimizer replaces the folding and nothing else.
    """

    def __hash__(self) -> int:
        """Equal specs, of equal constants, are one."""

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        """The streams it takes, at this folding."""

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        """The streams it gives, at this folding."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a frame: those of the model, padding included."""

    @property
    def multipliers(self) -> int:
        """Products that the component makes in one cycle for them."""

    @property
    def interval(self) -> int:
        """Cycles per frame that it needs with both ends always ready."""

    @property
    def compute(self) -> Callable[..., tuple[np.ndarray, ...]]:
        """The outputs in integers, bit-exact with the hardware.

        Takes an array for each input; arrays have the shape (frames, rows, columns, channels).
        """

    def timing(self) -> Timing:
        """When it takes and gives its beats."""

    def resources(self, device: Device) -> Resources:
        """What the component takes on the device."""

    def foldings(self) -> Iterator[Self]:
        """The same operator at each folding worth considering, smallest first."""

    def contents(self) -> Mapping[str, tuple[int, list[int]]]:
        """Bits of a word, and words, of each memory that has contents, by what ends the name of its
        file; in the order of the load chain."""

    def create(self) -> wiring.Component:
        """The component: ports :py:`i` and :py:`o`, or :py:`i_0`, :py:`i_1`... where several."""
