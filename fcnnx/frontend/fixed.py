"""Real scales as fixed-point multipliers."""

import math

import numpy as np

from fcnnx.hdl.operators.requantize import round_shift

from .tensors import Refused


__all__ = ["channel_scales", "common_scales", "fit_scales"]


BITS = 17
SPREAD = 16
REACH = 8


def _shift(scale: float) -> int:
    """The shift with which a scale's multiplier just fits its bits."""
    shift = BITS - math.frexp(scale)[1]
    if round(scale * 2.0 ** shift) >= 1 << BITS:
        shift -= 1
    if shift < 1:
        raise Refused(f"its output's scale is {scale:.3g} times smaller than that of its sums.",
                      "Quantise its output with a greater scale.")
    return min(shift, 63)


def common_scales(scales: np.ndarray) -> tuple[np.ndarray, int]:
    """Multipliers of 17 bits (and a sign) under one shift.

    Parameters
    ----------
    scales : floats, shape (n,)

    Raises
    ------
    Refused
        If one is too great.
    """
    scales = np.asarray(scales, np.float64)
    greatest = float(np.abs(scales).max())
    shift = _shift(greatest) if greatest else 1
    return np.rint(scales * 2.0 ** shift).astype(np.int64), shift


def channel_scales(scales: np.ndarray) -> tuple[np.ndarray, int | np.ndarray]:
    """Multipliers of the channels, shape (channels,) or (1,), and their shift.

    One shift for all where the scales lie within 16 times of each other, as it costs next to
    nothing in hardware; one for each elsewhere.
    """
    scales = np.atleast_1d(np.asarray(scales, np.float64))
    if (scales == scales[0]).all():
        scales = scales[:1]
    positive = scales[scales > 0]
    if positive.size and positive.max() > SPREAD * positive.min():
        shifts = np.array([_shift(float(scale)) if scale else 1 for scale in scales])
        return np.rint(scales * 2.0 ** shifts).astype(np.int64), shifts
    return common_scales(scales)


def fit_scales(scales: np.ndarray, shift: int, x: np.ndarray, wanted: np.ndarray,
               low: int, high: int) -> np.ndarray:
    """The multipliers, near those given, that get most of a table of results right.

    Where an operator's inputs take few values the rounding of its multiplier can be made up for:
    each value that it gets wrong would be wrong wherever it occurs.

    Parameters
    ----------
    scales : integers, shape (n,)
    shift : of all of them
    x : integers, shape (values,)
    wanted : integers, shape (n, values)
        Results, within ``low`` to ``high``.
    """
    steps = np.array(sorted(range(-REACH, REACH + 1), key=abs))
    limit = (1 << BITS) - 1
    candidates = np.clip(scales[:, None] + steps, -limit, limit)
    results = np.clip(round_shift(candidates[:, :, None] * x, shift), low, high)
    wrong = (results != wanted[:, None]).sum(-1)
    return np.take_along_axis(candidates, wrong.argmin(1)[:, None], 1)[:, 0]
