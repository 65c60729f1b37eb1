"""MTCNN's host: what happens before, between and after its three networks.

P-Net looks at the photo at several sizes, one network for each, and proposes squares; R-Net sees
the proposals at 24 by 24 pixels, O-Net what R-Net lets through at 48 by 48. The networks are a
function, so that the same host serves onnxruntime and simulated hardware.

Boxes are rows (left, top, right, bottom), in pixels of the photo.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime

import faces
import mtcnn
import recipes


__all__ = ["Detection", "Networks", "detect", "onnx_networks", "overlaps", "proposals", "pyramid",
           "shifted", "squares", "suppress"]

# Arrays by NETWORK/TENSOR, first axis frames: from inputs to outputs.
Networks = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]

STRIDE, CELL = 2, 12  # pixels from place to place of P-Net's map, and how many a place sees
FACTOR = 0.709  # from one size of the photo to the next: half the area
THRESHOLDS = {"pnet": 0.6, "rnet": 0.7, "onet": 0.7}
SAME_SIZE, SAME_FACE = 0.5, 0.7  # overlap from which two boxes are one


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """What the cascade saw in a photo.

    Parameters
    ----------
    proposed, refined : arrays, shape (n, 4)
        Squares that R-Net and O-Net looked at.
    boxes : array, shape (n, 4)
        Faces, the most probable first.
    scores : array, shape (n,)
        Their probabilities.
    landmarks : array, shape (n, 5, 2)
        Column and row of the eyes, the nose, the corners of the mouth.
    """

    proposed: np.ndarray
    refined: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


def pyramid(rows: int, columns: int, least: float, most: float) -> list[tuple[int, int]]:
    """Sizes, as (rows, columns), at which P-Net has to see a photo.

    Parameters
    ----------
    rows, columns : :class:`int`
        Of the photo.
    least, most : :class:`float`
        Sides, in pixels of the photo, of the smallest and the largest face to be found.
    """
    sizes, side = [], least
    while side <= min(most, rows, columns):
        sizes.append((round(rows * CELL / side), round(columns * CELL / side)))
        side /= FACTOR
    return sizes


def overlaps(one: np.ndarray, other: np.ndarray, *, of_smaller: bool = False) -> np.ndarray:
    """Intersections of boxes, as shares of the union, or of the smaller of the two.

    Parameters
    ----------
    one, other : arrays, shapes (n, 4) and (m, 4)

    Returns
    -------
    Array, shape (n, m).
    """
    sizes = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other)]
    start = np.maximum(one[:, None, :2], other[None, :, :2])
    end = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(end - start, 0, None), axis=2)
    if of_smaller:
        return shared / np.minimum(sizes[0][:, None], sizes[1][None])
    return shared / (sizes[0][:, None] + sizes[1][None] - shared)


def suppress(boxes: np.ndarray, scores: np.ndarray, limit: float, *,
             of_smaller: bool = False) -> np.ndarray:
    """Which boxes stay where each takes away all that overlap it and are less probable.

    Parameters
    ----------
    boxes, scores : arrays, shapes (n, 4) and (n,)
    limit : :class:`float`
        Greatest overlap of two that both stay.

    Returns
    -------
    Indices, the most probable first.
    """
    shared = overlaps(boxes, boxes, of_smaller=of_smaller)
    free = np.ones(len(boxes), bool)
    kept = []
    for k in np.argsort(-scores, kind="stable"):
        if free[k]:
            kept.append(k)
            free &= shared[k] <= limit
    return np.array(kept, int)


def shifted(boxes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Boxes whose borders moved by shares of width and height, as a network would have it."""
    return boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def squares(boxes: np.ndarray) -> np.ndarray:
    """Squares of whole pixels about the same centres, as wide as the longer side."""
    sides = np.round((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True))
    starts = np.round((boxes[:, :2] + boxes[:, 2:] - sides) / 2)
    return np.hstack([starts, starts + sides])


def proposals(scores: np.ndarray, shifts: np.ndarray,
              scale: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and their probabilities, where P-Net sees a face at one size of the photo.

    Parameters
    ----------
    scores, shifts : arrays, shapes (columns, rows) and (columns, rows, 4)
        As P-Net gives them, whose maps are swapped like its images.
    scale : pair of :class:`float`
        Columns and rows of the photo to a column and a row of what P-Net saw.
    """
    places = np.argwhere(scores > THRESHOLDS["pnet"])
    chosen = tuple(places.T)
    cells = np.hstack([STRIDE * places, STRIDE * places + CELL]) * np.tile(scale, 2)
    kept = suppress(cells, scores[chosen], SAME_SIZE)
    return shifted(cells[kept], shifts[chosen][kept]), scores[chosen][kept]


def detect(photo: np.ndarray, networks: Networks, least: float, most: float) -> Detection:
    """Find the faces of a photo; three calls of the networks, or fewer where nothing is left.

    Parameters
    ----------
    photo : array, shape (rows, columns, 3)
    networks : callable
        ``pnet_0`` and so on for the sizes of :func:`pyramid`, ``rnet``, ``onet``.
    least, most : as of :func:`pyramid`
    """
    rows, columns = photo.shape[:2]
    sizes = pyramid(rows, columns, least, most)
    found = networks({f"pnet_{k}/input_1": faces.prepare(faces.resize(photo, size)[None])
                      for k, size in enumerate(sizes)})
    each = [proposals(found[f"pnet_{k}/softmax"][0, ..., 1], found[f"pnet_{k}/conv2d_4"][0],
                      (columns / size[1], rows / size[0])) for k, size in enumerate(sizes)]
    boxes, scores = (np.concatenate(parts) for parts in zip(*each, strict=True))
    proposed = squares(boxes[suppress(boxes, scores, SAME_FACE)])

    boxes, scores, shifts, _ = _look("rnet", photo, proposed, networks)
    kept = suppress(boxes, scores, SAME_FACE)
    refined = squares(shifted(boxes[kept], shifts[kept]))

    boxes, scores, shifts, shares = _look("onet", photo, refined, networks)
    width_height = (boxes[:, 2:] - boxes[:, :2])[:, None]
    landmarks = boxes[:, None, :2] + shares.reshape(-1, 2, 5).swapaxes(1, 2) * width_height
    boxes = shifted(boxes, shifts)
    kept = suppress(boxes, scores, SAME_FACE, of_smaller=True)
    return Detection(proposed=proposed, refined=refined, boxes=boxes[kept], scores=scores[kept],
                     landmarks=landmarks[kept])


def _look(name: str, photo: np.ndarray, boxes: np.ndarray, networks: Networks) -> tuple[
        np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What R-Net or O-Net holds for faces: boxes, probabilities, shifts, landmarks if any."""
    if not len(boxes):
        return boxes, np.empty(0), np.empty((0, 4)), np.empty((0, 10))
    frames = faces.cut(photo, boxes, mtcnn.SIDES[name])
    found = networks({f"{name}/{mtcnn.INPUTS[name]}": frames})
    verdicts, shifts, *others = (found[f"{name}/{tensor}"] for tensor in mtcnn.OUTPUTS[name])
    scores = verdicts[:, 1]
    chosen = scores > THRESHOLDS[name]
    landmarks = others[0] if others else np.empty((len(boxes), 10))
    return boxes[chosen], scores[chosen], shifts[chosen], landmarks[chosen]


def onnx_networks(suffix: str = "") -> Networks:
    """The networks by onnxruntime: the float models, or with ``"_qdq"`` the quantised ones."""
    options = onnxruntime.SessionOptions()
    # Fused integer kernels are not exact on every processor.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    sessions = {name: onnxruntime.InferenceSession(
        str(recipes.locate(f"{name}{suffix}.onnx")), options, providers=["CPUExecutionProvider"])
        for name in mtcnn.INPUTS}

    def run(frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = {}
        for key, array in frames.items():
            network, _, tensor = key.partition("/")
            name = network.partition("_")[0]
            values = sessions[name].run(list(mtcnn.OUTPUTS[name]), {tensor: array})
            outputs |= {f"{network}/{output}": value
                        for output, value in zip(mtcnn.OUTPUTS[name], values, strict=True)}
        return outputs
    return run
