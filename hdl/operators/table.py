"""Any function of one value, as a table: activations, requantisation of 8-bit values."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory
from ..operator import Constants, FeatureMap, StreamShape, Timing
from ..streams import OutputQueue
from .beats import beat_timing, full_rate_places, give_beats, issue_beats
from .window import fewest_for_each


__all__ = ["LookUp", "Table"]


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

    Raises
    ------
    ValueError
        If the table does not fit the input and output, or a parameter is out of its range.
    """

    input: FeatureMap
    output: FeatureMap
    values: Constants
    lanes: int = 1

    def __post_init__(self) -> None:
        StreamShape(map=self.input, lanes=self.lanes)
        if self.output.shape != self.input.shape:
            raise ValueError(f"Output must have the size {self.input.shape!r}, "
                             f"not {self.output.shape!r}")
        if self.input.width > 8:
            raise ValueError(f"Input of a table must have 8 bits at most, "
                             f"not {self.input.width!r}")
        if self.values.shape != (1 << self.input.width,):
            raise ValueError(f"Values must have the shape {(1 << self.input.width,)!r}, "
                             f"not {self.values.shape!r}")
        values = self.values.values
        if values.min() < self.output.low or values.max() > self.output.high:
            raise ValueError(f"Values must lie between {self.output.low!r} and "
                             f"{self.output.high!r}, not {values.min()} and {values.max()}")

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    stages = 1 + LoadedMemory.latency  # address, memory

    @property
    def interval(self) -> int:
        return self.inputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.values.values[x - self.input.low],)

    def timing(self) -> Timing:
        return beat_timing(self.inputs[0].beats, stages=self.stages)

    def resources(self, device: Device) -> Resources:
        table = LoadedMemory.cost(width=self.output.width, depth=1 << self.input.width,
                                  device=device) + Resources(ff=self.input.width)
        # Only one of the lanes passes on what comes along the chain.
        table = table * self.lanes + Resources(ff=33) * (1 - self.lanes)
        queue = OutputQueue.cost(width=self.outputs[0].width,
                                 places=full_rate_places(self.stages), device=device)
        return table + queue + Resources(lut=2, ff=self.stages)

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in fewest_for_each(self.input.channels))

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Words of each memory, by the end of its file's name; all lanes hold the same."""
        words = np.roll(self.values.values, self.input.low) & (1 << self.output.width) - 1
        return {"_table.mem": (self.output.width, words.tolist())}

    def create(self) -> "LookUp":
        return LookUp(self)


class LookUp(wiring.Component):
    """Hardware of :class:`Table`: a memory for each lane; a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain; a table that comes along it is taken by all lanes.
    """

    def __init__(self, spec: Table):
        self._spec = spec
        super().__init__({
            "i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature),
            "load": In(Load), "load_o": Out(Load),
        })

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        m.submodules.queue = queue = OutputQueue(spec.outputs[0].layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        valid = issue_beats(m, inputs=[self.i], queue=queue, stages=spec.stages)

        beat = Signal(spec.inputs[0].width, reset_less=True)
        m.d.sync += beat.eq(Value.cast(self.i.payload))
        ((file, (width, words)),) = spec.contents().items()
        results = []
        for lane in range(spec.lanes):
            table = LoadedMemory(width=width, depth=len(words), words=words, file=file)
            m.submodules[f"table_{lane}"] = table
            m.d.comb += [
                table.r_addr.eq(beat.word_select(lane, spec.input.width)),
                table.load.valid.eq(self.load.valid), table.load.data.eq(self.load.data),
            ]
            if lane == 0:
                m.d.comb += [self.load_o.valid.eq(table.load_o.valid),
                             self.load_o.data.eq(table.load_o.data)]
            results.append(table.r_data)
        give_beats(m, queue, spec.outputs[0], valid=valid, word=Cat(results))
        return m
