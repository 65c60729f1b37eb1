"""Frames to words and back, in numpy and in hardware."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcnnx.hdl.memory.packing import Packer, Packing, Unpacker, pack_frames, unpack_frames
from fcnnx.hdl.operator import FeatureMap, StreamShape
from fcnnx.hdl.operators.matvec import join_fields
from fcnnx.hdl.testing import offered_cycles, ready_cycles, simulate


FRAMES = 3
# Rows, columns, channels, bits of a value; lanes, pixels; bits of a word, padding.
CASES = (
    ((5, 5, 1, 8), (1, 1), 64, 3),      # eight beats a word, the last one's fewer
    ((4, 4, 3, 8), (3, 1), 64, 0),      # two, with bits that are left
    ((3, 4, 3, 8), (3, 2), 128, 2),
    ((2, 3, 8, 8), (8, 1), 64, 5),      # one
    ((4, 2, 16, 8), (16, 1), 64, 2),    # two words a beat
    ((3, 3, 75, 4), (75, 1), 64, 1),    # 300 bits
    ((3, 2, 41, 16), (30, 1), 128, 0),
    ((1, 1, 1, 8), (1, 1), 64, 7),
    ((1, 7, 1, 1), (1, 1), 128, 0),
    ((2, 8, 1, 8), (1, 1), 8, 0),
)


def make(case):
    size, (lanes, pixels), width, padding = case
    rows, columns, channels, bits = size
    shape = StreamShape(map=FeatureMap(rows=rows, columns=columns, channels=channels, width=bits),
                        lanes=lanes, pixels=pixels)
    least = -(-shape.beats // max(1, width // shape.width)) * -(-shape.width // width)
    rng = np.random.default_rng(1)
    frames = rng.integers(shape.map.low, shape.map.high + 1, (FRAMES, *shape.map.shape))
    return Packing(shape=shape, width=width, words=least + padding), frames


def words_of(packing, packed):
    size = packing.width // 8
    return [int.from_bytes(packed.ravel()[k:k + size].tobytes(), "little")
            for k in range(0, packed.size, size)]


def simulated(component, words, count, offering, taking):
    run = simulate(component, [words], [count], [offered_cycles(offering, len(words))],
                   [ready_cycles(taking)], 6 * (len(words) + count) + 300)
    return run.words[0], run.given[0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("offering", "taking"), [("always", "always"), ("random", "random")])
def test_hardware(case, offering, taking):
    packing, frames = make(case)
    shape, width, words = packing.shape, packing.width, packing.words
    packed = words_of(packing, pack_frames(shape, width, words, frames))
    beats = join_fields(shape.pack(frames), shape.map.width)
    unpacker = Unpacker(shape, width, words)
    found, given_at = simulated(unpacker, packed, len(beats), offering, taking)
    assert found == beats
    written, written_at = simulated(Packer(shape, width, words), beats, len(packed), offering,
                                    taking)
    assert written == packed
    if offering == taking == "always":
        for cycles, count in ((given_at, shape.beats), (written_at, words)):
            assert cycles[-1] - cycles[-1 - count] <= packing.interval
        first = (packing.words_per_beat, min(packing.beats_per_word, shape.beats))
        assert given_at[0] == first[0] - 1 + unpacker.latency
        assert written_at[0] == first[1] - 1 + Packer.latency


def test_padding_passes_beside_the_beats():
    packing, frames = make(((9, 9, 1, 8), (1, 1), 64, 15))
    shape, width, words = packing.shape, packing.width, packing.words
    packed = words_of(packing, pack_frames(shape, width, words, frames))
    beats = join_fields(shape.pack(frames), shape.map.width)
    _, given_at = simulated(Unpacker(shape, width, words), packed, len(beats), "always", "always")
    assert given_at == list(range(given_at[0], given_at[0] + len(beats)))
    _, written_at = simulated(Packer(shape, width, words), beats, len(packed), "always", "always")
    assert written_at[-1] - written_at[-1 - words] == shape.beats


@given(st.data())
def test_frames_come_back(data):
    columns, channels = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 40))
    element = FeatureMap(rows=data.draw(st.integers(1, 4)), columns=columns, channels=channels,
                         width=data.draw(st.integers(1, 16)), signed=data.draw(st.booleans()))
    shape = StreamShape(map=element, lanes=data.draw(st.integers(1, channels)))
    width = data.draw(st.sampled_from([8, 32, 64, 128]))
    least = -(-shape.beats // max(1, width // shape.width)) * -(-shape.width // width)
    packing = Packing(shape=shape, width=width, words=least + data.draw(st.integers(0, 20)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    frames = rng.integers(element.low, element.high + 1, (2, *element.shape))
    packed = pack_frames(shape, width, packing.words, frames)
    assert packed.dtype == np.uint8
    assert packed.shape == (2, packing.words * width // 8)
    if packing.padding:
        packed[:, -packing.padding * width // 8:] = 255
    assert (unpack_frames(shape, width, packing.words, packed) == frames).all()


def test_too_few_words():
    packing, _ = make(CASES[0])
    with pytest.raises(ValueError, match=r"^A frame has 4 words, not 3$"):
        Packing(shape=packing.shape, width=64, words=3)
