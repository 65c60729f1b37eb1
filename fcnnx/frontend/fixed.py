"""Real scales as fixed-point multipliers."""

import math

import numpy as np

from fcnnx.hdl.operators.requantize import MULTIPLIER_WIDTH

from .tensors import Refused


__all__ = ["channel_scales", "common_scales"]


BITS = MULTIPLIER_WIDTH
SPREAD = 128  # the smallest scale keeps 17 bits


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
    """Multipliers of 24 bits (and a sign) under one shift.

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

    One shift for all where the scales lie within 128 times of each other, as it costs next to
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
