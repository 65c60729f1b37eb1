"""The host between MTCNN's networks, on cases made by hand, and the whole cascade on a photo."""

import dataclasses

import numpy as np
import pytest

import cascade
import demo
import faces


def boxes(*rows):
    return np.array(rows, float).reshape(-1, 4)


def test_overlaps():
    one = boxes((0, 0, 4, 4), (10, 10, 12, 14))
    other = boxes((0, 0, 4, 4), (2, 0, 6, 2), (4, 0, 8, 4))
    assert cascade.overlaps(one, other) == pytest.approx(np.array([[1, 4 / 20, 0], [0, 0, 0]]))
    assert cascade.overlaps(one, other, of_smaller=True)[0] == pytest.approx([1, 4 / 8, 0])


@pytest.mark.parametrize(("limit", "of_smaller", "kept"), [
    (0.5, False, [1, 3, 2]), (0.7, False, [1, 0, 3, 2]), (0.1, False, [1, 3]),
    (0.5, True, [1, 3])])
def test_suppress(limit, of_smaller, kept):
    given = boxes((0, 0, 10, 10), (0, 2, 10, 12), (0, 4, 5, 9), (20, 0, 30, 10))
    scores = np.array([0.8, 0.9, 0.6, 0.7])
    assert cascade.suppress(given, scores, limit, of_smaller=of_smaller).tolist() == kept


def test_suppressed_boxes_suppress_none():
    """The middle one goes with the first; the last overlaps only the middle one, and stays."""
    given = boxes((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
    assert cascade.suppress(given, np.array([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]
    assert cascade.suppress(boxes(), np.empty(0), 0.3).tolist() == []


def test_shifted_and_squares():
    moved = cascade.shifted(boxes((10, 20, 30, 60)), np.array([[0.1, -0.1, 0.2, 0.05]]))
    assert moved.tolist() == [[12, 16, 34, 62]]
    assert cascade.squares(moved).tolist() == [[0, 16, 46, 62]]


def test_pyramid():
    assert cascade.pyramid(512, 512, 96, 300) == [(64, 64), (45, 45), (32, 32), (23, 23)]
    assert cascade.pyramid(60, 120, 40, 1000) == [(18, 36), (13, 26)]
    assert cascade.pyramid(30, 30, 40, 80) == []


def test_proposals_are_not_swapped():
    """P-Net's maps are: a place in column 3, row 1 sees columns from 6 on, and rows from 2 on."""
    scores, shifts = np.zeros((5, 4)), np.zeros((5, 4, 4))
    scores[3, 1], shifts[3, 1] = 0.9, (0, 0.5, 0, 0)
    found, probable = cascade.proposals(scores, shifts, (2, 10))
    assert found.tolist() == [[12, 80, 36, 140]]
    assert probable.tolist() == [0.9]
    assert len(cascade.proposals(np.zeros((5, 4)), shifts, (1, 1))[0]) == 0


def test_cut_is_black_outside():
    photo = np.full((20, 30, 3), 255, np.uint8)
    photo[4:, 10:] = (255, 0, 0)
    (patch, corner) = faces.cut(photo, np.array([(-4, -2, 4, 6), (26, 16, 34, 24)]), 8)
    expected = np.full((8, 8, 3), -127.5 / 128)
    expected[2:, 4:] = 127.5 / 128
    assert patch.swapaxes(0, 1) == pytest.approx(expected, abs=1e-6)
    expected = np.full((8, 8, 3), -127.5 / 128)
    expected[:4, :4, 0] = 127.5 / 128
    assert corner.swapaxes(0, 1) == pytest.approx(expected, abs=1e-6)


class Networks:
    """P-Net sees one face of 24 by 24 pixels in 48 by 48, in column 16 and row 8."""

    def __init__(self, **scores):
        self.scores = {"pnet": 0.9, "rnet": 0.9, "onet": 0.9} | scores
        self.seen = []

    def __call__(self, frames):
        found = {}
        for key, array in frames.items():
            network = key.partition("/")[0]
            self.seen.append((key, array.shape))
            score = self.scores[network.partition("_")[0]]
            if network.startswith("pnet"):
                found[f"{network}/softmax"] = np.zeros((1, 7, 7, 2))
                found[f"{network}/softmax"][0, 4, 2, 1] = score
                found[f"{network}/conv2d_4"] = np.zeros((1, 7, 7, 4))
                continue
            for tensor, values in {"softmax_1": (1 - score, score), "dense_2": (0.25, 0, 0.25, 0),
                                   "softmax_2": (1 - score, score), "dense_5": (0, 0, 0.5, 0),
                                   "dense_6": (0.25, 0.75, 0.5, 0, 1, *5 * [0.5])}.items():
                found[f"{network}/{tensor}"] = np.tile(values, (len(array), 1))
        return found


def test_detect():
    networks = Networks()
    photo = np.zeros((48, 48, 3), np.uint8)
    found = cascade.detect(photo, networks, 24, 32)
    assert networks.seen == [("pnet_0/input_1", (1, 24, 24, 3)), ("rnet/input_2", (1, 24, 24, 3)),
                             ("onet/input_3", (1, 48, 48, 3))]
    assert found.proposed.tolist() == [[16, 8, 40, 32]]
    assert found.refined.tolist() == [[22, 8, 46, 32]]
    assert found.boxes.tolist() == [[22, 8, 58, 32]]
    assert found.scores == pytest.approx([0.9])
    assert found.landmarks.tolist() == [[[28, 20], [40, 20], [34, 20], [22, 20], [46, 20]]]


@pytest.mark.parametrize(("doubtful", "calls"), [("pnet", 1), ("rnet", 2), ("onet", 3)])
def test_nothing_left(doubtful, calls):
    networks = Networks(**{doubtful: 0.5})
    found = cascade.detect(np.zeros((48, 48, 3), np.uint8), networks, 24, 32)
    assert len(networks.seen) == calls
    assert [len(found.boxes), len(found.scores), len(found.landmarks)] == [0, 0, 0]


@pytest.fixture(scope="module")
def exact():
    return cascade.detect(faces.PHOTO(), cascade.onnx_networks(), demo.LEAST, demo.MOST)


def test_quantised_cascade_finds_the_face(exact):
    found = cascade.detect(faces.PHOTO(), cascade.onnx_networks("_qdq"), demo.LEAST, demo.MOST)
    assert len(exact.boxes) == 1
    assert demo.same(found, exact)
    # Probabilities in 256 steps would be 1, and many of them equal.
    assert 0.99 < found.scores[0] < 1


def test_what_is_not_the_same(exact):
    """Its own result is; one landmark, the box or the number of faces off is not."""
    assert demo.same(exact, exact)
    landmarks = exact.landmarks.copy()
    landmarks[0, 3, 1] += 2.1
    other = exact.boxes + np.array([0, 0, 0, 16])
    for changes in ({"landmarks": landmarks}, {"boxes": other},
                    {"boxes": exact.boxes[:0]}, {"boxes": np.concatenate([exact.boxes, other])}):
        changed = dataclasses.replace(exact, **changes)
        assert not demo.same(changed, exact)
