"""Patches of real photos, as MTCNN's networks take them; the photos are inside scikit-image."""

import numpy as np
import skimage.data
import skimage.transform


__all__ = ["PHOTO", "calibration", "crops", "cut", "labelled", "prepare", "resize"]

PHOTO = skimage.data.astronaut  # 512 x 512 pixels, one face
# What networks are quantised with; PHOTO is not among them, so that it is new to them.
_OTHERS = (skimage.data.coffee, skimage.data.chelsea, skimage.data.rocket, skimage.data.retina,
           skimage.data.camera, skimage.data.immunohistochemistry)


def resize(patch: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A patch with this many rows and columns; values between 0 and 1."""
    return skimage.transform.resize(patch, size, anti_aliasing=patch.shape[0] > size[0])


def prepare(patches: np.ndarray) -> np.ndarray:
    """Patches (n, rows, columns, 3) of values between 0 and 1 as the networks take them."""
    return ((255 * patches.swapaxes(1, 2) - 127.5) / 128).astype(np.float32)


def labelled(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The 200 patches of Labeled Faces in the Wild, prepared, and which of them are faces."""
    patches = np.stack([resize(patch, (side, side)) for patch in skimage.data.lfw_subset()])
    return prepare(np.repeat(patches[..., None], 3, axis=3)), np.arange(len(patches)) < 100


def crops(photo: np.ndarray, sides: tuple[int, ...] = (128,), step: float = 0.33) -> np.ndarray:
    """Squares of a photo as rows (left, top, right, bottom): a grid for each side.

    Parameters
    ----------
    photo : array, shape (rows, columns, 3)
    sides : pixels
    step : :class:`float`
        Distance of neighbours, as a share of the side.
    """
    rows, columns = photo.shape[:2]
    return np.array([(left, top, left + side, top + side) for side in sides
                     for top in range(0, rows - side + 1, int(step * side))
                     for left in range(0, columns - side + 1, int(step * side))])


def cut(photo: np.ndarray, squares: np.ndarray, side: int) -> np.ndarray:
    """Squares of a photo, whole pixels, resized and prepared; outside the photo all is black."""
    over = max(0, *(-squares[:, :2]).flat, *(squares[:, 2:] - photo.shape[1::-1]).flat)
    wide = np.pad(photo, ((int(over), int(over)), (int(over), int(over)), (0, 0)))
    return prepare(np.stack([resize(wide[top:bottom, left:right], (side, side)) for
                             left, top, right, bottom in (squares + over).astype(int)]))


def calibration(side: int) -> np.ndarray:
    """Patches to quantise with: every fifth labelled one, and squares of photos, 16 of each."""
    rng = np.random.default_rng(0)
    patches = [labelled(side)[0][::5]]
    for other in _OTHERS:
        photo = other()
        photo = photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)
        squares = crops(photo, (64, 128, 256), 0.5)
        chosen = rng.choice(len(squares), 16, replace=False)
        patches.append(cut(photo, squares[np.sort(chosen)], side))
    return np.concatenate(patches)
