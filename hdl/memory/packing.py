"""Frames in memory: how a stream's beats lie in a port's words, and what packs and unpacks them."""

import dataclasses
import math

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import StreamShape
from ..streams import OutputQueue


__all__ = ["Packer", "Packing", "Unpacker", "pack_frames", "unpack_frames"]


# A beat is dealt or gathered in one stage: as many places as let one pass in every cycle.
PLACES = 1 + OutputQueue.latency + OutputQueue.back


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packing:
    """A stream's frames in words.

    A word holds as many whole beats as go into it, or a beat has as many words to itself as it
    takes; first things are in the lowest bits, bits that are left are zero. A frame starts with a
    word, and takes so many in all, the last of which may be padding.

    Parameters
    ----------
    shape : :class:`StreamShape`
    width : :class:`int`
        Bits of a word.
    words : :class:`int`
        Of a frame.

    Raises
    ------
    ValueError
        If a frame has more words than these.
    """

    shape: StreamShape
    width: int
    words: int

    def __post_init__(self) -> None:
        if self.words < self.data_words:
            raise ValueError(f"A frame has {self.data_words!r} words, not {self.words!r}")

    @property
    def beats_per_word(self) -> int:
        """Beats of a word; 1 where a beat has several words."""
        return max(1, self.width // self.shape.width)

    @property
    def words_per_beat(self) -> int:
        """Words of a beat; 1 where a word has several beats."""
        return math.ceil(self.shape.width / self.width)

    @property
    def data_words(self) -> int:
        """Words of a frame that hold something."""
        return math.ceil(self.shape.beats / self.beats_per_word) * self.words_per_beat

    @property
    def padding(self) -> int:
        """Words of a frame that hold nothing."""
        return self.words - self.data_words

    @property
    def interval(self) -> int:
        """Cycles of a frame with both ends always ready, at most: a beat, or a word, in each; and
        the padding, which passes beside the beats where words have several."""
        return max(self.shape.beats, self.data_words) + self.padding

    def resources(self, device: Device, direction: str = "read") -> Resources:
        """What an :class:`Unpacker` takes on the device (``"read"``), or a :class:`Packer`
        (``"write"``)."""
        reads = direction == "read"
        times = max(self.beats_per_word, self.words_per_beat)
        part = self.shape.width if self.words_per_beat == 1 else self.width
        widths = [self.shape.width if reads else self.width]
        slot, position = _bits(times), _bits(self.shape.beats if self.shape.beats % times else 1)
        control = Resources()
        if self.padding:
            position += _bits(self.words)
            widths += [self.width] if reads else []
            control = Resources(lut=0 if reads else self.width)
        if reads == (self.words_per_beat == 1):
            control += Resources(lut=part * _chosen_luts(times, device) + slot + 4,
                                 ff=self.width if reads else times * part)
        else:
            control += Resources(lut=times + 2 * slot, ff=times * part)
        return sum((OutputQueue.cost(width=width, places=PLACES, device=device)
                    for width in widths),
                   control + Resources(lut=3 * position // 2, ff=slot + position))


def _chosen_luts(parts, device):
    """LUTs of each bit of one of so many parts."""
    if device.wide_tables:
        return math.ceil((parts - 1) / 3)
    return parts - (parts <= 2)


def _bits(number):
    return (number - 1).bit_length()


def pack_frames(shape: StreamShape, width: int, words: int, frames: np.ndarray) -> np.ndarray:
    """Frames as they lie in memory.

    Parameters
    ----------
    shape, width, words
        As in :class:`Packing`.
    frames : integers, shape (frames, rows, columns, channels)

    Returns
    -------
    Bytes, shape (frames, words * width // 8).
    """
    packing = Packing(shape=shape, width=width, words=words)
    count, side = len(frames), shape.map.width
    values = shape.pack(frames).astype(np.int64)
    bits = np.unpackbits(values[..., None].astype("<u2").view(np.uint8), axis=-1,
                         bitorder="little")[..., :side].reshape(count, shape.beats, shape.width)
    if packing.words_per_beat > 1:
        spare = packing.words_per_beat * width - shape.width
        bits = np.pad(bits, ((0, 0), (0, 0), (0, spare)))
    else:
        per_word = packing.beats_per_word
        bits = np.pad(bits, ((0, 0), (0, -shape.beats % per_word), (0, 0)))
        bits = bits.reshape(count, packing.data_words, per_word * shape.width)
        bits = np.pad(bits, ((0, 0), (0, 0), (0, width - per_word * shape.width)))
    packed = np.packbits(bits.reshape(count, -1), axis=-1, bitorder="little")
    return np.pad(packed, ((0, 0), (0, packing.padding * width // 8)))


def unpack_frames(shape: StreamShape, width: int, words: int, packed: np.ndarray) -> np.ndarray:
    """The inverse of :func:`pack_frames`; what is padding does not matter."""
    packing = Packing(shape=shape, width=width, words=words)
    count, element = len(packed), shape.map
    bits = np.unpackbits(packed[:, :packing.data_words * width // 8], axis=-1, bitorder="little")
    bits = bits.reshape(count, -1, packing.words_per_beat * width)
    bits = bits[..., :packing.beats_per_word * shape.width]
    bits = bits.reshape(count, -1, shape.elements, element.width)[:, :shape.beats]
    values = bits.astype(np.int64) @ (1 << np.arange(element.width))
    if element.signed:
        values -= values >> element.width - 1 << element.width
    return shape.unpack(values.reshape(-1, shape.elements))


class Unpacker(wiring.Component):
    """Words as they come from memory to beats; see :class:`Packing` for where they are, and for how
    many cycles a frame takes.

    A beat leaves :attr:`latency` cycles after its last word came, at the earliest.

    Parameters
    ----------
    shape, width, words
        As in :class:`Packing`.

    Members
    -------
    i : :py:`In(stream.Signature(width))`
    o : :py:`Out(shape.signature)`
    """

    def __init__(self, shape: StreamShape, width: int, words: int):
        self._packing = Packing(shape=shape, width=width, words=words)
        self.latency = 1 + OutputQueue.latency * (2 if self._packing.padding else 1)
        super().__init__({"i": In(stream.Signature(width)), "o": Out(shape.signature)})

    def elaborate(self, platform):
        m = Module()
        packing, shape = self._packing, self._packing.shape
        words = self._without_padding(m) if packing.padding else self.i
        m.submodules.beats = beats = OutputQueue(shape.layout, places=PLACES)
        wiring.connect(m, beats.o, wiring.flipped(self.o))
        if packing.words_per_beat == 1:
            _deal(m, words, beats, packing.beats_per_word, shape.width, shape.beats)
        else:
            _gather(m, words, beats, packing.words_per_beat, packing.width,
                    packing.words_per_beat)
        return m

    def _without_padding(self, m):
        """The words that hold something, in a queue: while they wait there, others are dropped."""
        packing = self._packing
        m.submodules.words = words = OutputQueue(packing.width, places=PLACES)
        came, data = Signal(), Signal()
        position = _count(m, came, packing.words)
        m.d.comb += [
            self.i.ready.eq(words.enough), came.eq(self.i.valid & self.i.ready),
            data.eq(position < packing.data_words), words.need.eq(1),
            words.reserve.eq(came & data), words.i_valid.eq(came & data),
            words.i_payload.eq(self.i.payload),
        ]
        return words.o


class Packer(wiring.Component):
    """Beats to words as they lie in memory; the inverse of :class:`Unpacker`.

    A word leaves :attr:`latency` cycles after its last beat came, at the earliest.

    Parameters
    ----------
    shape, width, words
        As in :class:`Packing`.

    Members
    -------
    i : :py:`In(shape.signature)`
    o : :py:`Out(stream.Signature(width))`
    """

    latency = 1 + OutputQueue.latency

    def __init__(self, shape: StreamShape, width: int, words: int):
        self._packing = Packing(shape=shape, width=width, words=words)
        super().__init__({"i": In(shape.signature), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        m = Module()
        packing, shape = self._packing, self._packing.shape
        m.submodules.words = words = OutputQueue(packing.width, places=PLACES)
        if packing.words_per_beat == 1:
            _gather(m, self.i, words, packing.beats_per_word, shape.width, shape.beats)
        else:
            _deal(m, self.i, words, packing.words_per_beat, packing.width, packing.words_per_beat)

        data, gone = Signal(), Signal()
        position = _count(m, gone, packing.words if packing.padding else 1)
        m.d.comb += [
            data.eq(position < packing.data_words), self.o.valid.eq(words.o.valid | ~data),
            self.o.payload.eq(Mux(data, words.o.payload, 0)),
            words.o.ready.eq(self.o.ready & data), gone.eq(self.o.valid & self.o.ready),
        ]
        return m


def _count(m, event, number):
    """How often something happened, modulo a number."""
    count = Signal(range(number))
    if number > 1:
        with m.If(event):
            m.d.sync += count.eq(Mux(count == number - 1, 0, count + 1))
    return count


def _deal(m, wide, queue, times, width, number):
    """Each of one stream in so many parts; of all, those that are over at a frame's end, after so
    many parts, are dropped."""
    issue, held = Signal(), Signal()
    slot = Signal(range(times))
    position = _count(m, issue, number if number % times else 1)
    last = (slot == times - 1) | (position == number - 1)
    word = Signal(len(Value.cast(wide.payload)), reset_less=True)
    m.d.comb += [
        wide.ready.eq(~held | (issue & last)), issue.eq(held & queue.enough), queue.need.eq(1),
        queue.reserve.eq(issue), queue.i_valid.eq(issue),
        Value.cast(queue.i_payload).eq(word.word_select(slot, width)),
    ]
    with m.If(issue):
        m.d.sync += slot.eq(Mux(last, 0, slot + 1))
    with m.If(wide.ready):
        m.d.sync += [held.eq(wide.valid), word.eq(wide.payload)]


def _gather(m, narrow, queue, times, width, number):
    """So many of one stream in each of another; fewer at a frame's end, after so many."""
    issue = Signal()
    payload = Value.cast(narrow.payload)
    slot = Signal(range(times))
    position = _count(m, issue, number if number % times else 1)
    complete = (slot == times - 1) | (position == number - 1)
    m.d.comb += [
        queue.need.eq(complete), queue.reserve.eq(issue), narrow.ready.eq(queue.enough),
        issue.eq(narrow.valid & narrow.ready),
    ]
    with m.If(issue):
        m.d.sync += slot.eq(Mux(complete, 0, slot + 1))
    # The first clears the others' bits, in case they stay away.
    gathered = Signal(times * width, reset_less=True)
    with m.If(issue), m.Switch(slot):
        for k in range(times):
            with m.Case(k):
                end = (k + 1 if k else times) * width
                m.d.sync += gathered[k * width:end].eq(payload)
    m.d.sync += queue.i_valid.eq(issue & complete)
    m.d.comb += Value.cast(queue.i_payload).eq(gathered)
