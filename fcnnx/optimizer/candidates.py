"""The foldings of one stage, with what each takes: of the device, and of the memory."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fcnnx.hdl.device import KINDS, Device, Resources
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.packing import Packing
from fcnnx.hdl.memory.reader import StreamReader
from fcnnx.hdl.operator import Constants, FeatureMap, Operator, StreamShape
from fcnnx.hdl.operators.convolution import Convolution
from fcnnx.hdl.operators.depthwise import divisors
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.memory import MemoryTiming

from .demands import BURST, burst_words
from .folding import port_elements


__all__ = ["Candidates", "Room", "amounts_of", "candidates", "port_candidates", "streamed"]


PORT_LOAD = 0.96  # of a port's words that one stream may be
ADDRESS_WIDTH = 32
# Of a stream's part in its port, its network's control and the schedule, and its queue.
STREAM, STREAM_PLACES = Resources(lut=80, ff=60), 4 * BURST
LUTS_OF_PRODUCT = 60  # at the least
LARGE = 1 << 17  # weights
MOST_BEATS = 1 << 20  # of weights that cross several times a frame: timing counts each of them


@dataclasses.dataclass(frozen=True, kw_only=True)
class Room(Resources):
    """What networks may take: of a device, and of the words of a memory's ports in each cycle."""

    words_per_cycle: float = math.inf

    @classmethod
    def of(cls, resources: Resources, words_per_cycle: float | None) -> Resources:
        """Resources with so many words, or as they are where there is no memory."""
        if words_per_cycle is None:
            return resources
        return cls(**dict(resources.items()), words_per_cycle=words_per_cycle)


def amounts_of(resources: Resources, words: int | None = None) -> np.ndarray:
    """Resources as a vector, in the order of their kinds; then words, where they count."""
    amounts = [amount for _, amount in resources.items()]
    return np.array(amounts if words is None else [*amounts, words], dtype=np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """The foldings of one stage, with what is asked of them most.

    Parameters
    ----------
    operators : tuple of tuples of :class:`Operator`
        Each folding's, one after the other: more than one where something must follow. None of an
        input or output of the network, which is nothing but its lanes. Those of a convolution have
        constants that are all the same, until :meth:`chain` gives them theirs.
    intervals : integers, shape (foldings,)
    amounts : integers, shape (foldings, kinds)
        Resources; where there is a memory, then the words of a frame that cross it.
    lanes : integers, shape (foldings, inputs + outputs)
        Values of a beat: lanes, or those of several whole pixels.
    inputs : :class:`int`
    """

    operators: tuple[tuple[Operator, ...], ...]
    intervals: np.ndarray
    amounts: np.ndarray
    lanes: np.ndarray
    inputs: int

    @functools.cached_property
    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct rows of lanes, and which one each folding has."""
        rows, which = np.unique(self.lanes, axis=0, return_inverse=True)
        return rows, which.reshape(-1)

    @functools.cached_property
    def grouped(self) -> tuple[np.ndarray, np.ndarray]:
        """The foldings in the order of their rows of lanes, and where each row's begin."""
        rows, which = self.keys
        order = np.argsort(which, kind="stable")
        return order, np.searchsorted(which[order], np.arange(len(rows)))

    @functools.cached_property
    def lags(self) -> np.ndarray:
        """How far what leaves is behind what came, where all comes evenly, as a share of a frame:
        floats, shape (foldings,). The lines of a window are left out, as all foldings of a stage
        hold them."""
        return np.array([_lag(chain) for chain in self.operators])

    def only(self, allowed: Callable[[tuple[Operator, ...]], bool]) -> "Candidates":
        """Those of these operators.

        Raises
        ------
        ValueError
            If there are none.
        """
        kept = np.array([k for k, chain in enumerate(self.operators) if allowed(chain)], dtype=int)
        if not kept.size:
            raise ValueError("No folding is allowed")
        return dataclasses.replace(
            self, operators=tuple(self.operators[k] for k in kept), intervals=self.intervals[kept],
            amounts=self.amounts[kept], lanes=self.lanes[kept])

    def chain(self, pick: int, original: Operator) -> tuple[Operator, ...]:
        """A folding of the stage's own operator: with its constants."""
        first, *others = self.operators[pick]
        if isinstance(first, Convolution | StreamedConvolution):
            assert isinstance(original, Convolution)
            first = dataclasses.replace(first, weights=original.weights, bias=original.bias,
                                        requantization=original.requantization)
        return first, *others


def _lag(chain: Sequence[Operator]) -> float:
    """Of a stage whose weights are streamed: a tile comes, and is then worked on."""
    first = chain[0]
    if not isinstance(first, StreamedConvolution) or first.passes == 1:
        return 0.0
    return 2 / first.tiling.tiles


def candidates(operator: Operator, device: Device,
               memory: MemoryTiming | None = None) -> Candidates:
    """All foldings of an operator, less those that another beats in every respect.

    With a memory, those of a convolution whose weights are streamed are among them, and those that
    are more than the device has are not.
    """
    if getattr(operator, "packed", False) and not device.packs_products:
        operator = dataclasses.replace(operator, packed=False)  # type: ignore[type-var]
    if getattr(operator, "scaling", "") == "wide" and not device.packs_products:
        operator = dataclasses.replace(operator, scaling="narrow")  # type: ignore[type-var]
    if isinstance(operator, Convolution):
        operator = _bare(operator)
    return _candidates(operator, device, memory)


@functools.lru_cache(maxsize=1024)
def _candidates(operator: Operator, device: Device, memory: MemoryTiming | None) -> Candidates:
    found = [(each,) for each in _foldings(operator, device, memory)]
    operators: tuple[tuple[Operator, ...], ...] = tuple(found)
    words = np.zeros(len(operators), dtype=np.int64)
    amounts = [amounts_of(each.resources(device)) for each, in found]
    intervals = [each.interval for each, in found]
    if memory is not None and isinstance(operator, Convolution):
        most = _most_multipliers(device)
        chains = [chain for chain in streamed(operator) if chain[0].multipliers <= most
                  and (chain[0].tiling.tiles == 1 or chain[0].weight_shape.beats <= MOST_BEATS)]
        operators += tuple(chains)
        crossing = [Crossing.of(chain[0].weight_shape, memory) for chain in chains]
        words = np.append(words, [each.words for each in crossing]).astype(np.int64)
        amounts += [amounts_of(sum((each.resources(device) for each in chain),
                                   each_crossing.resources(device)))
                    for chain, each_crossing in zip(chains, crossing, strict=True)]
        intervals += [max(each_crossing.interval, *(each.interval for each in chain))
                      for chain, each_crossing in zip(chains, crossing, strict=True)]
    lanes = np.array([[shape.elements for shape in (*_taken(chain), *chain[-1].outputs)]
                      for chain in operators], dtype=np.int64)
    costs = np.stack(amounts)
    if memory is not None:
        costs = np.column_stack([costs, words])
    cycles = np.array(intervals, dtype=np.int64)
    kept = _undominated(np.column_stack([cycles, costs]), lanes)
    if memory is not None:
        fits = (costs[kept, :len(KINDS)] <= amounts_of(device.resources)).all(axis=1)
        kept = kept[fits] if fits.any() else kept
    return Candidates(operators=tuple(operators[k] for k in kept), intervals=cycles[kept],
                      amounts=costs[kept], lanes=lanes[kept], inputs=len(operator.inputs))


def _taken(chain: Sequence[Operator]) -> tuple[StreamShape, ...]:
    """The streams of the network that a folding takes: streamed weights are none."""
    first = chain[0]
    return first.inputs[:1] if isinstance(first, StreamedConvolution) else first.inputs


def _foldings(operator: Operator, device: Device,
              memory: MemoryTiming | None) -> Iterator[Operator]:
    """The foldings of an operator; with a memory, networks may have layers of many thousand, of
    which those are left out that no device of this kind holds, and lanes of large ones leave
    nothing over: rows still make their intervals as long as one likes."""
    if memory is None or not isinstance(operator, Convolution):
        return operator.foldings()
    large = math.prod(operator.weights.shape) >= LARGE
    return operator.foldings(most=_most_multipliers(device), lane_choices=(
        divisors(operator.input.channels) if large else None))


def _most_multipliers(device: Device) -> int:
    """More than this a device does not have in any way."""
    return (device.resources.dsp * (2 if device.packs_products else 1)
            + device.resources.lut // LUTS_OF_PRODUCT)


def _bare(operator: Convolution) -> Convolution:
    """The same of constants that are all alike, its zero point among them: what foldings take does
    not depend on them, so that stages that differ in nothing else share their candidates."""
    scale = operator.requantization
    shift = scale.shift
    return dataclasses.replace(
        operator, weights=_alike(operator.weights.shape), bias=_alike(operator.bias.shape),
        requantization=dataclasses.replace(
            scale, multiplier=_alike(scale.multiplier.shape), zero=scale.low,
            shift=_alike(shift.shape) if isinstance(shift, Constants) else shift))


@functools.lru_cache(maxsize=256)
def _alike(shape: tuple[int, ...]) -> Constants:
    return Constants(np.ones(shape, dtype=np.int8))


def streamed(operator: Convolution) -> Iterator[tuple[StreamedConvolution, *tuple[Operator, ...]]]:
    """The foldings of the same layer with its weights streamed, each with what restores the order
    of its output, where that is another."""
    first = StreamedConvolution(
        input=operator.input, kernel=operator.kernel, strides=operator.strides,
        padding=operator.padding, dilations=operator.dilations, pad=operator.pad,
        weights=operator.weights, bias=operator.bias, requantization=operator.requantization,
        output=operator.output, acc_width=operator.acc_width, packed=operator.packed,
        tile=operator.output.columns)
    for each in first.foldings():
        # With one tile held alone, what a slow consumer leaves of it would hold up the next one.
        yield (each,) if each.in_order else (each, each.reorder())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crossing:
    """A stream between an engine and the memory.

    Parameters
    ----------
    packing : :class:`Packing`
        Of its frames, in whole bursts.
    burst : :class:`int`
        Words.
    rate : :class:`float`
        Words per cycle of a stream, at most.
    """

    packing: Packing
    burst: int
    rate: float

    @classmethod
    def of(cls, shape: StreamShape, memory: MemoryTiming) -> "Crossing":
        """How a stream of this shape crosses."""
        width = 8 * memory.word_bytes
        data = Packing(shape=shape, width=width, words=1 << 40).data_words
        burst = burst_words(data, memory.longest_burst)
        return cls(packing=Packing(shape=shape, width=width, words=-(-data // burst) * burst),
                   burst=burst, rate=PORT_LOAD * memory.share * (1 - memory.refresh_share))

    @property
    def words(self) -> int:
        """Of a frame, those included that fill up its last burst."""
        return self.packing.words

    @property
    def interval(self) -> int:
        """Cycles of a frame, at the least."""
        return max(self.packing.interval, math.ceil(self.words / self.rate))

    def resources(self, device: Device) -> Resources:
        """What bringing it takes, before queues are sized."""
        axi = Axi(data_width=self.packing.width, address_width=ADDRESS_WIDTH)
        return STREAM + self.packing.resources(device) + StreamReader.cost(
            axi, burst=self.burst, places=STREAM_PLACES, device=device)


def _undominated(costs: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Rows that no other row of their group is at most as large as in every column."""
    order = np.lexsort(costs.T[::-1])
    kept: list[int] = []
    best: dict[tuple[int, ...], np.ndarray] = {}
    for k in order:
        group = tuple(groups[k].tolist())
        rows = best.get(group)
        if rows is not None and (rows <= costs[k]).all(axis=1).any():
            continue
        best[group] = costs[k][None] if rows is None else np.vstack([rows, costs[k]])
        kept.append(int(k))
    return np.array(sorted(kept))


def port_candidates(feature_map: FeatureMap, output: bool,
                    memory: MemoryTiming | None = None) -> Candidates:
    """An input or output of a network: any number of lanes, or pixels of an input, that a beat
    there can have."""
    lanes = np.array([count for count in port_elements(feature_map)
                      if not output or count <= feature_map.channels])
    shapes = [StreamShape.of(feature_map, count) for count in lanes.tolist()]
    intervals = [shape.beats for shape in shapes]
    amounts = np.zeros((len(lanes), len(KINDS)), dtype=np.int64)
    if memory is not None:
        crossing = [Crossing.of(shape, memory) for shape in shapes]
        intervals = [each.interval for each in crossing]
        amounts = np.column_stack([amounts, [each.words for each in crossing]])
    return Candidates(operators=(), intervals=np.array(intervals), amounts=amounts,
                      lanes=lanes[:, None], inputs=int(output))
