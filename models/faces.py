"""Patches of real photos, as MTCNN's networks take them; the photos are inside scikit-image."""

import numpy as np
import skimage.data
import skimage.transform


__all__ = ["PHOTO", "calibration", "crops", "cut", "labelled", "prepare", "resize"]

PHOTO = skimage.data.astronaut  # 512 x 512 pixels, one face


def resize(patch: np.ndarray, side: int) -> np.ndarray:
    """A patch at this many pixels; values between 0 and 1."""
    return skimage.transform.resize(patch, (side, side), anti_aliasing=patch.shape[0] > side)


def prepare(patches: np.ndarray) -> np.ndarray:
    """Patches (n, rows, columns, 3) of values between 0 and 1 as the networks take them."""
    return ((255 * patches.swapaxes(1, 2) - 127.5) / 128).astype(np.float32)


def labelled(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The 200 patches of Labeled Faces in the Wild, prepared, and which of them are faces."""
    patches = np.stack([resize(patch, side) for patch in skimage.data.lfw_subset()])
    return prepare(np.repeat(patches[..., None], 3, axis=3)), np.arange(len(patches)) < 100


def crops(photo: np.ndarray, sides: tuple[int, ...] = (128,), step: float = 0.33) -> np.ndarray:
    """Squares of a photo as rows (top, left, side): a grid for each side.

    Parameters
    ----------
    photo : array, shape (rows, columns, 3)
    sides : pixels
    step : :class:`float`
        Distance of neighbours, as a share of the side.
    """
    rows, columns = photo.shape[:2]
    return np.array([(top, left, side) for side in sides
                     for top in range(0, rows - side + 1, int(step * side))
                     for left in range(0, columns - side + 1, int(step * side))])


def cut(photo: np.ndarray, squares: np.ndarray, side: int) -> np.ndarray:
    """Squares of a photo, resized and prepared."""
    return prepare(np.stack([resize(photo[top:top + size, left:left + size], side)
                             for top, left, size in squares]))


def calibration(side: int) -> np.ndarray:
    """Patches to quantise with: every fifth labelled one, and 60 squares of the photo."""
    photo = PHOTO()
    squares = crops(photo, (64, 128, 256), 0.5)
    chosen = np.random.default_rng(0).choice(len(squares), 60, replace=False)
    return np.concatenate([labelled(side)[0][::5], cut(photo, squares[np.sort(chosen)], side)])
