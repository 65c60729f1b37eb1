"""Any function of one value, as a table: activations, requantisation of 8-bit values."""

import dataclasses

import numpy as np

from ..device import Device, Resources
from ..operator import Constants, FeatureMap, Input, Output, StreamShape, Timing


__all__ = ["Table"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """:py:`values[x - input.low]`, the same for all channels.

    Parameters
    ----------
    input, output : :class:`FeatureMap`
        Of one size; the input has 8 bits at most.
    values : :class:`Constants`, shape (2 ** input.width,)
        Output for each input, from the lowest on.
    lanes : :class:`int`
        Folding: channels at once.
    """

    input: FeatureMap
    output: FeatureMap
    values: Constants
    lanes: int = 1

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.values.values[x - self.input.low],)
