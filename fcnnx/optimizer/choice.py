"""Which folding each stage of a network takes, for an interval and a price of each resource."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from fcnnx.hdl.device import KINDS, Device, Resources
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import FeatureMap, Operator, StreamShape
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork
from fcnnx.memory import MemoryTiming
from fcnnx.network import Network

from . import pricing
from .candidates import Candidates, Crossing, Room, amounts_of, candidates, port_candidates
from .fifos import Places
from .folding import build_engine, conversion, conversions, links
from .lags import Lags
from .spilling import spill, spilled_lanes


__all__ = ["Chooser", "Selection"]


BLOCKS = KINDS.index("bram18")


@functools.cache
def _ways(feature_map: FeatureMap, lanes: int, wanted: int,
          device: Device) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Interval and amounts of each way of conversion."""
    rows = []
    for way in conversions(feature_map, lanes, wanted):
        total = sum((each.resources(device) for each in way), Resources())
        rows.append((max((each.interval for each in way), default=0),
                     tuple(amounts_of(total).tolist())))
    return tuple(rows)


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """A folding of every stage of a network.

    Parameters
    ----------
    picks : integers, shape (nodes,)
        Which candidate of each input, stage and output.
    limit : :class:`int`
        Cycles that no stage and no converter exceeds.
    interval : :class:`int`
        The most that one of them takes; or longer, where frames are held apart for the memory.
    resources : :class:`Resources`
        Of all of them, with forks and converters.
    words : :class:`int`
        Of a memory's port, that a frame brings and takes.
    """

    picks: np.ndarray
    limit: int
    interval: int
    resources: Resources
    words: int = 0

    def paced(self, words_per_cycle: float) -> "Selection":
        """The same, its frames as far apart as so many words for them ask for."""
        if not self.words or self.words <= words_per_cycle * self.interval:
            return self
        interval = math.ceil(self.words / words_per_cycle)
        return dataclasses.replace(self, interval=max(self.interval, interval))


class _Edge:
    """The conversions between what two nodes may have as lanes."""

    def __init__(self, feature_map: FeatureMap, producer: Candidates, output: int,
                 consumer: Candidates, index: int, device: Device):
        self.out_column, self.in_column = producer.inputs + output, index
        gives = producer.keys[0][:, self.out_column]
        takes = consumer.keys[0][:, self.in_column]
        self.gives, self.give_index = np.unique(gives, return_inverse=True)
        self.takes, self.take_index = np.unique(takes, return_inverse=True)
        shape = (2, len(self.gives), len(self.takes))
        self.intervals = np.full(shape, np.iinfo(np.int64).max)
        self.amounts = np.zeros((*shape, producer.amounts.shape[1]), dtype=np.int64)
        for p, lanes in enumerate(self.gives.tolist()):
            for q, wanted in enumerate(self.takes.tolist()):
                for way, (interval, amounts) in enumerate(_ways(feature_map, lanes, wanted,
                                                                   device)):
                    self.intervals[way, p, q] = interval
                    self.amounts[way, p, q, :len(amounts)] = amounts


# Stages of one form have the same candidates, and the same ways from one to the next.
_edge = functools.lru_cache(maxsize=4096)(_Edge)


class Chooser:
    """Chooses foldings for one network on one device.

    Nodes are the network's inputs, its stages and its outputs, in this order. Amounts are vectors
    of the device's kinds; with a memory, words of its ports are a kind more.

    Parameters
    ----------
    network : :class:`Network`
    device : :class:`Device`
    memory : :class:`MemoryTiming` or None
        What frames cross, and weights may.
    allowed : callable or None
        Which foldings may be taken, by the stage's name and its operators; all where it is None.

    Raises
    ------
    ValueError
        If a stage may have none.
    """

    def __init__(self, network: Network, device: Device, memory: MemoryTiming | None = None,
                 allowed: Callable[[str, tuple[Operator, ...]], bool] | None = None):
        self.network, self.device, self.memory = network, device, memory
        self.names = [*(port.tensor for port in network.inputs),
                      *(stage.name for stage in network.stages),
                      *(port.tensor for port in network.outputs)]
        self.nodes = [
            *(port_candidates(port.map, False, memory) for port in network.inputs),
            *(self._foldings(stage, allowed) for stage in network.stages),
            *(port_candidates(port.map, True, memory) for port in network.outputs)]
        self.stages = slice(len(network.inputs), len(network.inputs) + len(network.stages))
        self._edges: list[tuple[int, int, _Edge]] = []
        self._forks: dict[int, tuple[FeatureMap, int]] = {}
        self.held: dict[int, tuple[int, ...]] = {}  # values in each branch of a node's fork
        self.spilled: set[tuple[int, int]] = set()  # nodes, and which branch of their forks
        self._priced: pricing.Tables | None = None
        self._forks_priced = False
        self._connect()
        self._lags = Lags(self.nodes, [each[:2] for each in self._edges], self._forks)

    def _foldings(self, stage: Stage, allowed) -> Candidates:
        found = candidates(stage.operator, self.device, self.memory)
        return found if allowed is None else found.only(functools.partial(allowed, stage.name))

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """Nodes of inputs and stages by name."""
        return {name: k for k, name in enumerate(self.names[:self.stages.stop])}

    def _connect(self) -> None:
        ports = {name: self.stages.stop + k
                 for k, name in enumerate(self.names[self.stages.stop:])}
        branches: dict[Source, int] = {}
        for link in links(self.network):
            producer = self.numbers[link.source.name]
            consumer = ports[link.consumer] if link.index < 0 else self.numbers[link.consumer]
            edge = _edge(link.map, self.nodes[producer], link.source.output,
                         self.nodes[consumer], max(link.index, 0), self.device)
            self._edges.append((producer, consumer, edge))
            branches[link.source] = branches.get(link.source, 0) + 1
            if branches[link.source] > 1:
                self._forks[producer] = (link.map, branches[link.source])

    @functools.cached_property
    def useful(self) -> np.ndarray:
        """Every interval that a stage may have, no less than what some stage needs; sorted."""
        least = max(int(node.intervals.min()) for node in self.nodes)
        values = np.unique(np.concatenate([node.intervals for node in self.nodes]))
        return values[values >= least]

    @functools.cached_property
    def least_words(self) -> int:
        """Words that cross the memory with a frame, whatever the foldings; 0 without a memory."""
        if self.memory is None:
            return 0
        return sum(int(node.amounts[:, -1].min()) for node in self.nodes)

    def bounds(self, budget: Resources, limit: int) -> np.ndarray:
        """What foldings may take whose frames are so many cycles apart: amounts of a budget, and
        words of a :class:`Room`."""
        if self.memory is None:
            return amounts_of(budget)
        given = budget.words_per_cycle if isinstance(budget, Room) else math.inf
        return np.append(amounts_of(budget).astype(np.float64), given * limit)

    def amounts(self, selection: Selection) -> np.ndarray:
        """What a selection takes, as :meth:`bounds`."""
        return amounts_of(selection.resources, None if self.memory is None else selection.words)

    def fits(self, selection: Selection, budget: Resources) -> bool:
        """Whether a selection keeps to a budget, its frames as far apart as its limit allows."""
        return bool((self.amounts(selection) <= self.bounds(budget, selection.limit)).all())

    def choose(self, limit: int, prices: np.ndarray,
               limits: Mapping[int, int] | None = None) -> Selection | None:
        """The cheapest foldings that keep to an interval, or none.

        Exact along a tree of the network's links; where branches meet, improved node by node until
        none changes.

        Parameters
        ----------
        limit : :class:`int`
            Cycles.
        prices : numbers, shape (kinds,)
        limits : cycles by node
            Tighter limits of some nodes.
        """
        tables = self._tables
        found, keys, picks = pricing.cheapest(tables, limit, self._limits(limit, limits), prices)
        return self._selected(keys, picks, limit) if found else None

    def _fork(self, k: int, lanes: int) -> np.ndarray:
        feature_map, count = self._forks[k]
        if lanes > feature_map.channels:
            return np.full(self._kinds, np.inf)  # of several pixels a beat there are no forks
        held = self.held.get(k, (0,) * count)
        amounts = np.zeros(self._kinds, dtype=np.int64)
        amounts[:len(KINDS)] = _fork_amounts(feature_map, lanes, tuple(
            max(LEAST_PLACES, -(-values // lanes)) for values in held), self.device)
        amounts[BLOCKS] -= self._lags.known(k, self.spilled)
        for branch in range(count):
            if (k, branch) in self.spilled:
                assert self.memory is not None
                amounts += _spill_amounts(feature_map, lanes, self.memory, self.device)
        return amounts

    def spillable(self) -> list[tuple[int, int, int]]:
        """What queues are known to hold, that could be in the memory: node, branch and bits."""
        if self.memory is None:
            return []
        return [(k, branch, values * self._forks[k][0].width)
                for k, held in self.held.items() for branch, values in enumerate(held)
                if (k, branch) not in self.spilled]

    def spill(self, node: int, branch: int) -> None:
        """Lead a branch through the memory from now on."""
        self.spilled.add((node, branch))
        held = list(self.held[node])
        held[branch] = 0
        self.held[node] = tuple(held)
        self._forks_priced = False

    def forget_lags(self) -> bool:
        """Have queues cost nothing until they are known; whether that is new."""
        self._forks_priced = False
        return self._lags.forget()

    @property
    def _kinds(self) -> int:
        return len(KINDS) + (self.memory is not None)

    @property
    def _tables(self) -> pricing.Tables:
        """All foldings, with the forks as they are now."""
        if self._priced is None:
            self._priced = pricing.tables(self.nodes, self._edges)
            self._blocks = self._priced.amounts[:, BLOCKS].copy()
        if not self._forks_priced:
            self._price_forks(self._priced)
            self._forks_priced = True
        return self._priced

    def _price_forks(self, tables: pricing.Tables) -> None:
        """What forks take, and what of that depends on the foldings of others."""
        for k in self._forks:
            node = self.nodes[k]
            for row, lanes in enumerate(node.keys[0][:, node.inputs].tolist()):
                tables.forks[tables.node[k] + row] = self._fork(k, lanes)
        tables.amounts[:, BLOCKS] = self._blocks
        for k, blocks in self._lags.charges(self.spilled):
            ours = slice(tables.row[tables.node[k]], tables.row[tables.node[k + 1]])
            tables.amounts[ours, BLOCKS] += blocks[tables.number[ours]]

    def _limits(self, limit: int, limits: Mapping[int, int] | None) -> np.ndarray:
        """Of each node."""
        each = np.full(len(self.nodes), limit, dtype=np.int64)
        for k, tighter in (limits or {}).items():
            each[k] = tighter
        return each

    def _selection(self, picks: np.ndarray, limit: int) -> Selection:
        """Of each node's candidate."""
        return self._selected(*self._places(picks), limit)

    def _selected(self, keys: np.ndarray, picks: np.ndarray, limit: int) -> Selection:
        """Of rows and foldings, counted over all nodes."""
        tables = self._tables
        interval, amounts = pricing.taken(tables, keys, picks, limit)
        values = [int(amount) for amount in amounts]
        return Selection(picks=tables.number[picks], limit=limit, interval=int(interval),
                         resources=Resources(**dict(zip(KINDS, values, strict=False))),
                         words=sum(values[len(KINDS):]))

    def _places(self, picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and foldings, counted over all nodes, of each node's candidates."""
        candidates = self._tables.candidate + picks
        return self._tables.key[candidates], self._tables.place[candidates]

    def counted(self, selection: Selection) -> Selection:
        """The same foldings, as fast as they are, with what they take by all that is known of forks
        now."""
        return self._selection(selection.picks, selection.limit)

    def within(self, selection: Selection, budget: Resources,
               limits: Mapping[int, int] | None = None) -> Selection:
        """The selection with other foldings of the same lanes, so that it keeps to a budget.

        Prices choose one kind of multiplier everywhere, or the other: what is dear at one price is
        cheap at the next. Here stages change one at a time, each time the one after which least is
        exceeded.
        """
        most = np.maximum(self.bounds(budget, selection.limit), 1).astype(np.float64)
        used = self.amounts(selection).astype(np.float64)
        if (used <= most).all():
            return selection
        keys, picks = self._places(selection.picks)
        picks = pricing.mended(self._tables, keys, picks, self.stages,
                               self._limits(selection.limit, limits), used, most)
        return self._selected(keys, picks, selection.limit)

    def engine(self, selection: Selection, places: Places | None = None) -> Engine:
        """The engine of a selection."""
        operators: dict[str, tuple[Operator, ...]] = {}
        ports: dict[str, int] = {}
        originals = {stage.name: stage.operator for stage in self.network.stages}
        for k, (name, pick) in enumerate(zip(self.names, selection.picks, strict=True)):
            node = self.nodes[k]
            if self.stages.start <= k < self.stages.stop:
                operators[name] = node.chain(pick, originals[name])
            else:
                ports[name] = int(node.lanes[pick, 0])
        engine = build_engine(self.network, operators, ports=ports, interval=selection.limit,
                              places=places)
        if self.memory is None or not self.spilled:
            return engine
        forks = {node: name for node, name, _ in self._forks_of(engine)}
        return spill(engine, [Source(forks[k], branch) for k, branch in self.spilled],
                     bits=8 * self.memory.word_bytes, interval=selection.limit)

    def remember(self, engine: Engine, selection: Selection) -> None:
        """Keep in mind what the forks of a selection's engine hold, for later prices."""
        for node, _, fork in self._forks_of(engine):
            self.held[node] = tuple(depth * fork.lanes for depth in fork.places)
        self._lags.remember(self.held, selection.picks)
        self._forks_priced = False

    def _forks_of(self, engine: Engine) -> Iterator[tuple[int, str, Fork]]:
        """The nodes of which an engine has forks, their names, and the forks."""
        for stage in engine.stages:
            if isinstance(stage.operator, Fork):
                yield self.numbers[stage.inputs[0].name], stage.name, stage.operator


@functools.cache
def _spill_amounts(feature_map: FeatureMap, lanes: int, memory: MemoryTiming,
                   device: Device) -> np.ndarray:
    """What it takes to lead a stream through the memory, with the words of a frame both ways."""
    narrow = spilled_lanes(feature_map, 8 * memory.word_bytes)
    crossing = Crossing.of(StreamShape(map=feature_map, lanes=narrow), memory)
    ways = [conversion(feature_map, *pair, crossing.interval)
            for pair in ((lanes, narrow), (narrow, lanes))]
    converters = [each.resources(device) for way in ways for each in way]
    total = sum(converters, crossing.resources(device) + crossing.resources(device))
    return amounts_of(total, 2 * crossing.words)


@functools.cache
def _fork_amounts(feature_map: FeatureMap, lanes: int, places: tuple[int, ...],
                  device: Device) -> np.ndarray:
    return amounts_of(Fork(map=feature_map, lanes=lanes, places=places).resources(device))
