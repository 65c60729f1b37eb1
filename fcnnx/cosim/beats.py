"""Beats of a stream as words, the form in which they pass to and from a simulator."""

import numpy as np

from fcnnx.hdl.operator import StreamShape


__all__ = ["from_words", "to_words", "words_of"]


def words_of(shape: StreamShape) -> int:
    """32-bit words of a beat."""
    return -(-shape.width // 32)


def to_words(shape: StreamShape, frames: np.ndarray) -> np.ndarray:
    """Frames, shape (frames, rows, columns, channels), as words, shape (beats, words)."""
    width = shape.map.width
    beats = shape.pack(np.asarray(frames, dtype=np.int64))
    bits = (beats[:, :, None] >> np.arange(width) & 1).astype(np.uint8).reshape(len(beats), -1)
    bits = np.pad(bits, ((0, 0), (0, 32 * words_of(shape) - bits.shape[1])))
    return np.packbits(bits, axis=1, bitorder="little").view("<u4")


def from_words(shape: StreamShape, words: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_words`."""
    width = shape.map.width
    bits = np.unpackbits(np.ascontiguousarray(words, dtype="<u4").view(np.uint8), axis=1,
                         count=shape.width, bitorder="little")
    bits = bits.reshape(len(words), shape.elements, width).astype(np.int64)
    values = (bits << np.arange(width)).sum(-1)
    if shape.map.signed:
        values -= bits[..., -1] << width
    return shape.unpack(values)
