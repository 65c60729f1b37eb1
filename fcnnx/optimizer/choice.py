"""Which folding each stage of a network takes, for an interval and a price of each resource."""

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np

from fcnnx.hdl.device import KINDS, Device, Resources
from fcnnx.hdl.engine import Engine, Source
from fcnnx.hdl.operator import FeatureMap, Operator
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork
from fcnnx.memory import MemoryTiming
from fcnnx.network import Network

from .candidates import Candidates, Room, amounts_of, candidates, port_candidates
from .fifos import Places
from .folding import build_engine, conversions, links


__all__ = ["Chooser", "Selection"]


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
        self._amounts = self.amounts.astype(np.float64)  # to be priced, again and again

    def costs(self, limit: int, prices: np.ndarray) -> np.ndarray:
        """Price of the conversion that is taken, shape (gives, takes)."""
        costs = self._amounts @ prices
        costs[self.intervals > limit] = np.inf
        return np.where(np.isfinite(costs[0]), costs[0], costs[1])

    def taken(self, p: int, q: int, limit: int) -> tuple[int, np.ndarray]:
        """Interval and amounts of it."""
        way = 0 if self.intervals[0, p, q] <= limit else 1
        return int(self.intervals[way, p, q]), self.amounts[way, p, q]


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
    """

    def __init__(self, network: Network, device: Device, memory: MemoryTiming | None = None):
        self.network, self.device, self.memory = network, device, memory
        self.names = [*(port.tensor for port in network.inputs),
                      *(stage.name for stage in network.stages),
                      *(port.tensor for port in network.outputs)]
        self.nodes = [
            *(port_candidates(port.map, False, memory) for port in network.inputs),
            *(candidates(stage.operator, device, memory) for stage in network.stages),
            *(port_candidates(port.map, True, memory) for port in network.outputs)]
        self.stages = slice(len(network.inputs), len(network.inputs) + len(network.stages))
        self._edges: list[tuple[int, int, _Edge]] = []
        self._forks: dict[int, tuple[FeatureMap, int]] = {}
        self.held: dict[int, tuple[int, ...]] = {}  # values in each branch of a node's fork
        self._fork_tables: dict[int, np.ndarray] = {}
        self._connect()

    def _connect(self) -> None:
        number = {name: k for k, name in enumerate(self.names[:self.stages.stop])}
        ports = {name: self.stages.stop + k
                 for k, name in enumerate(self.names[self.stages.stop:])}
        branches: dict[Source, int] = {}
        for link in links(self.network):
            producer = number[link.source.name]
            consumer = ports[link.consumer] if link.index < 0 else number[link.consumer]
            edge = _edge(link.map, self.nodes[producer], link.source.output,
                         self.nodes[consumer], max(link.index, 0), self.device)
            self._edges.append((producer, consumer, edge))
            branches[link.source] = branches.get(link.source, 0) + 1
            if branches[link.source] > 1:
                self._forks[producer] = (link.map, branches[link.source])
        self._into: list[list[tuple[int, _Edge]]] = [[] for _ in self.nodes]
        self._out_of: list[list[tuple[int, _Edge]]] = [[] for _ in self.nodes]
        for producer, consumer, edge in self._edges:
            self._into[consumer].append((producer, edge))
            self._out_of[producer].append((consumer, edge))

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
        limits = limits or {}
        costs, best = [], []
        for k, node in enumerate(self.nodes):
            cost, pick = self._cheapest(k, node, limits.get(k, limit), prices)
            if not np.isfinite(cost).any():
                return None
            costs.append(cost)
            best.append(pick)
        tables = [edge.costs(limit, prices) for *_, edge in self._edges]
        keys = self._along_tree(costs, tables)
        if keys is None or not self._improve(keys, costs, tables):
            return None
        picks = np.array([pick[key] for pick, key in zip(best, keys, strict=True)])
        return self._selection(picks, limit)

    def _cheapest(self, k: int, node: Candidates, limit: int,
                  prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each row of lanes its least price, and the folding that has it."""
        rows, which = node.keys
        price = node.priced @ prices
        price[node.intervals > limit] = np.inf
        order, starts = node.grouped
        sorted_price, group = price[order], which[order]
        least = np.minimum.reduceat(sorted_price, starts)
        cheapest = np.flatnonzero(sorted_price == least[group])
        pick = order[cheapest[np.searchsorted(group[cheapest], np.arange(len(rows)))]]
        cost = price[pick]
        if k in self._forks:
            if k not in self._fork_tables:
                self._fork_tables[k] = np.stack([self._fork(k, lanes) for lanes
                                                 in rows[:, node.inputs].tolist()])
            cost = cost + np.array([amounts @ prices for amounts in self._fork_tables[k]])
        return cost, pick

    def _fork(self, k: int, lanes: int) -> np.ndarray:
        feature_map, count = self._forks[k]
        if lanes > feature_map.channels:
            return np.full(self._kinds, np.inf)  # of several pixels a beat there are no forks
        held = self.held.get(k, (0,) * count)
        amounts = np.zeros(self._kinds, dtype=np.int64)
        amounts[:len(KINDS)] = _fork_amounts(feature_map, lanes, tuple(
            max(LEAST_PLACES, -(-values // lanes)) for values in held), self.device)
        return amounts

    @property
    def _kinds(self) -> int:
        return len(KINDS) + (self.memory is not None)

    def _along_tree(self, costs, tables) -> list[int] | None:
        """Rows of lanes, chosen as if each node had its first input alone."""
        edge_number = {id(edge): n for n, (*_, edge) in enumerate(self._edges)}
        total = [cost.copy() for cost in costs]
        for k in range(len(self.nodes) - 1, -1, -1):
            for producer, edge in self._into[k][:1]:
                reduced = np.full(len(edge.takes), np.inf)
                np.minimum.at(reduced, edge.take_index, total[k])
                message = (tables[edge_number[id(edge)]] + reduced).min(axis=1)
                total[producer] += message[edge.give_index]
        keys: list[int] = []
        for k in range(len(self.nodes)):
            cost = total[k]
            for producer, edge in self._into[k][:1]:
                row = tables[edge_number[id(edge)]][edge.give_index[keys[producer]]]
                cost = cost + row[edge.take_index]
            keys.append(int(np.argmin(cost)))
            if not np.isfinite(cost[keys[-1]]):
                return None
        return keys

    def _improve(self, keys: list[int], costs, tables) -> bool:
        """Change one node at a time while that is cheaper; whether all keep to their limits."""
        around: list[list[tuple[int, _Edge, np.ndarray, bool]]] = [[] for _ in self.nodes]
        for (producer, consumer, edge), table in zip(self._edges, tables, strict=True):
            around[producer].append((consumer, edge, table, True))
            around[consumer].append((producer, edge, table, False))
        for _ in range(10):
            changed, total = False, 0.0
            for k in range(len(self.nodes)):
                cost = costs[k].copy()
                for other, edge, table, gives in around[k]:
                    if gives:
                        cost += table[:, edge.take_index[keys[other]]][edge.give_index]
                    else:
                        cost += table[edge.give_index[keys[other]]][edge.take_index]
                pick = int(np.argmin(cost))
                if cost[pick] < cost[keys[k]]:
                    keys[k], changed = pick, True
                total += cost[keys[k]]
            if not changed:
                break
        return bool(np.isfinite(total))

    def _selection(self, picks: np.ndarray, limit: int) -> Selection:
        amounts = sum((node.amounts[pick] for node, pick in zip(self.nodes, picks, strict=True)),
                      np.zeros(self._kinds, dtype=np.int64))
        interval = max(int(node.intervals[pick])
                       for node, pick in zip(self.nodes, picks, strict=True))
        keys = [int(node.keys[1][pick]) for node, pick in zip(self.nodes, picks, strict=True)]
        for producer, consumer, edge in self._edges:
            slowest, more = edge.taken(edge.give_index[keys[producer]],
                                       edge.take_index[keys[consumer]], limit)
            amounts = amounts + more
            interval = max(interval, slowest)
        for k in self._forks:
            node = self.nodes[k]
            amounts = amounts + self._fork(k, int(node.lanes[picks[k], node.inputs]))
        values = dict(zip(KINDS, amounts.tolist(), strict=False))
        return Selection(picks=picks, limit=limit, interval=interval,
                         resources=Resources(**values), words=int(sum(amounts[len(KINDS):])))

    def within(self, selection: Selection, budget: Resources,
               limits: Mapping[int, int] | None = None) -> Selection:
        """The selection with other foldings of the same lanes, so that it keeps to a budget.

        Prices choose one kind of multiplier everywhere, or the other: what is dear at one price is
        cheap at the next. Here stages change one at a time, each time the one after which least is
        exceeded.
        """
        limits, picks = limits or {}, selection.picks.copy()
        most = np.maximum(self.bounds(budget, selection.limit), 1)
        used = self.amounts(selection)
        if (used <= most).all():
            return selection
        stages = range(*self.stages.indices(len(self.nodes)))
        same = [np.flatnonzero((node.keys[1] == node.keys[1][picks[k]])
                               & (node.intervals <= limits.get(k, selection.limit)))
                for k, node in ((k, self.nodes[k]) for k in stages)]
        owners = np.repeat(np.arange(len(same)), [len(each) for each in same])
        choices = np.concatenate(same)
        # Kinds first: sums and greatest values over few kinds of many choices are fast then.
        amounts = np.ascontiguousarray(np.concatenate(
            [self.nodes[k].amounts[each] for k, each in zip(stages, same, strict=True)]).T)
        taken = np.stack([self.nodes[k].amounts[picks[k]] for k in stages], axis=1)
        best, bounds = np.inf, most[:, None]
        while (used > most).any():
            shares = ((used[:, None] - taken)[:, owners] + amounts) / bounds
            scores = np.maximum(shares - 1, 0).sum(axis=0) + 1e-3 * shares.max(axis=0)
            least = int(np.argmin(scores))
            if scores[least] >= best:
                break
            best, owner = scores[least], owners[least]
            used = used - taken[:, owner] + amounts[:, least]
            taken[:, owner] = amounts[:, least]
            picks[stages[owner]] = choices[least]
        return self._selection(picks, selection.limit)

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
        return build_engine(self.network, operators, ports=ports, interval=selection.limit,
                            places=places)

    def remember(self, engine: Engine) -> None:
        """Keep in mind what the forks of an engine hold, for later prices."""
        number = {name: k for k, name in enumerate(self.names[:self.stages.stop])}
        for stage in engine.stages:
            if isinstance(stage.operator, Fork):
                node = number[stage.inputs[0].name]
                self.held[node] = tuple(depth * stage.operator.lanes
                                        for depth in stage.operator.places)
        self._fork_tables.clear()


@functools.cache
def _fork_amounts(feature_map: FeatureMap, lanes: int, places: tuple[int, ...],
                  device: Device) -> np.ndarray:
    return amounts_of(Fork(map=feature_map, lanes=lanes, places=places).resources(device))
