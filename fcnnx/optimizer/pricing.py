"""The cheapest foldings of all nodes of a network at some prices, compiled by numba.

A large network has a hundred thousand foldings, which are priced anew for thousands of limits and
prices: in numpy, node by node, that takes most of the time of planning.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np


if TYPE_CHECKING:  # they hold these tables
    from .candidates import Candidates
    from .choice import _Edge


__all__ = ["Tables", "cheapest", "mended", "tables", "taken"]


ROUNDS = 10  # in which nodes are changed, one after the other


class Tables(NamedTuple):
    """The foldings of all nodes, by node and then by row of lanes, and the ways between them.

    Parameters
    ----------
    node : integers, shape (nodes + 1,)
        First row of lanes of each.
    row : integers, shape (rows + 1,)
        First folding of each row of lanes.
    number : integers, shape (foldings,)
        Which of its node's candidates each folding is.
    intervals : integers, shape (foldings,)
    amounts : floats, shape (foldings, kinds)
    forks : floats, shape (rows, kinds)
        What a fork behind a node takes with these lanes; infinite where there can be none.
    ends : integers, shape (edges, 2)
        Nodes from and to which each leads.
    sizes : integers, shape (edges, 2)
        Distinct numbers of lanes that are given, and taken.
    ways : integers, shape (edges,)
        First entry of each edge: one for each pair of them.
    lanes : integers, shape (edges, 2)
        Where the indices of both nodes' rows begin.
    which : integers
        Of each row of an edge's node, which of the distinct numbers of lanes it has.
    way_intervals : integers, shape (entries, 2)
    way_kinds : integers
        The kinds that ways take anything of.
    way_amounts : floats, shape (entries, 2, those)
    first : integers, shape (nodes,)
        The first edge into each node, or -1.
    around, starts : integers
        Edges of each node, twice each in all, and where a node's begin; one more than nodes.
    candidate : integers, shape (nodes,)
        The first candidate of each, counted over all nodes.
    place, key : integers, shape (foldings,)
        Of each candidate, counted so: which folding it is, and its row of lanes.
    """

    node: np.ndarray
    row: np.ndarray
    number: np.ndarray
    intervals: np.ndarray
    amounts: np.ndarray
    forks: np.ndarray
    ends: np.ndarray
    sizes: np.ndarray
    ways: np.ndarray
    lanes: np.ndarray
    which: np.ndarray
    way_intervals: np.ndarray
    way_kinds: np.ndarray
    way_amounts: np.ndarray
    first: np.ndarray
    around: np.ndarray
    starts: np.ndarray
    candidate: np.ndarray
    place: np.ndarray
    key: np.ndarray


def tables(nodes: Sequence["Candidates"], edges: Sequence[tuple[int, int, "_Edge"]]) -> Tables:
    """Of these nodes and edges, without forks."""
    grouped = [node.grouped for node in nodes]
    counts = np.array([len(starts) for _, starts in grouped])
    firsts = _starts([len(node.intervals) for node in nodes])
    row = np.concatenate([*(starts + first for (_, starts), first
                            in zip(grouped, firsts, strict=False)), firsts[-1:]])
    place = np.argsort(np.concatenate([order + first for (order, _), first
                                       in zip(grouped, firsts, strict=False)]))
    kinds = nodes[0].amounts.shape[1]
    around: list[list[int]] = [[] for _ in nodes]
    first = np.full(len(nodes), -1)
    for k, (producer, consumer, _) in enumerate(edges):
        around[producer].append(k)
        around[consumer].append(k)
        if first[consumer] < 0:
            first[consumer] = k
    sizes = np.array([edge.intervals.shape[1:] for *_, edge in edges]).reshape(-1, 2)
    way_amounts = np.concatenate([np.zeros((0, 2, kinds)), *(
        edge.amounts.reshape(2, -1, kinds).swapaxes(0, 1) for *_, edge in edges)])
    way_kinds = np.flatnonzero(way_amounts.any(axis=(0, 1)))
    indices = [each for *_, edge in edges for each in (edge.give_index, edge.take_index)]
    return Tables(
        node=_starts(counts),
        row=row,
        number=np.concatenate([order for order, _ in grouped]),
        intervals=np.concatenate([node.intervals[order] for node, (order, _)
                                  in zip(nodes, grouped, strict=True)]),
        amounts=np.concatenate([node.amounts[order] for node, (order, _)
                                in zip(nodes, grouped, strict=True)]).astype(np.float64),
        forks=np.zeros((int(counts.sum()), kinds)),
        ends=np.array([each[:2] for each in edges]).reshape(-1, 2), sizes=sizes,
        ways=_starts(sizes.prod(axis=1))[:-1],
        lanes=_starts([len(each) for each in indices])[:-1].reshape(-1, 2),
        which=np.concatenate([np.zeros(0, np.int64), *indices]),
        way_intervals=np.concatenate([np.zeros((0, 2), np.int64), *(
            edge.intervals.reshape(2, -1).T for *_, edge in edges)]),
        way_kinds=way_kinds, way_amounts=np.ascontiguousarray(way_amounts[:, :, way_kinds]),
        first=first, around=np.array([k for each in around for k in each], np.int64),
        starts=_starts([len(each) for each in around]), candidate=firsts[:-1], place=place,
        key=np.repeat(np.arange(len(row) - 1), np.diff(row))[place])


def _starts(counts) -> np.ndarray:
    return np.cumsum([0, *counts], dtype=np.int64)


# Each array by itself, here and below: numba counts who refers to those of a tuple that is handed
# on, which takes longer than a price.
def cheapest(tables: Tables, limit: int, limits: np.ndarray,
             prices: np.ndarray) -> tuple[bool, np.ndarray, np.ndarray]:
    """Rows of lanes and foldings of all nodes, cheapest along a tree of the first edges into each;
    then improved node by node until none changes.

    Parameters
    ----------
    tables : :class:`Tables`
    limit : :class:`int`
        Cycles, of edges.
    limits : integers, shape (nodes,)
        Likewise, of nodes.
    prices : floats, shape (kinds,)

    Returns
    -------
    Whether there are any, and the row and the folding of each node, counted over all nodes.
    """
    costs, picks = _row_prices(tables.node, tables.row, tables.intervals, tables.amounts,
                               tables.forks, limits, prices)
    ways = _way_prices(tables.way_intervals, tables.way_amounts, limit, prices[tables.way_kinds])
    links = tables.node, tables.ends, tables.sizes, tables.ways, tables.lanes, tables.which
    found, keys = _along_tree(costs, ways, tables.first, *links)
    found = found and _improve(costs, ways, keys, tables.around, tables.starts, *links)
    return found, keys, picks[keys]


@numba.njit(cache=True, nogil=True)
def _row_prices(node, row, intervals, amounts, forks, limits, prices):
    """The least price of each row of lanes, and the folding that has it."""
    costs, picks = np.empty(len(row) - 1), row[:-1].copy()
    for owner in range(len(node) - 1):
        for key in range(node[owner], node[owner + 1]):
            least = np.inf
            for k in range(row[key], row[key + 1]):
                if intervals[k] <= limits[owner]:
                    price = 0.0
                    for kind in range(len(prices)):
                        price += amounts[k, kind] * prices[kind]
                    if price < least:
                        least, picks[key] = price, k
            for kind in range(len(prices)):
                least += forks[key, kind] * prices[kind]
            costs[key] = least
    return costs, picks


@numba.njit(cache=True, nogil=True)
def _way_prices(intervals, amounts, limit, prices):
    """Of each entry, the price of the first way that keeps to a limit."""
    costs = np.full(len(intervals), np.inf)
    for entry in range(len(costs)):
        for way in range(2):
            if intervals[entry, way] <= limit:
                price = 0.0
                for kind in range(len(prices)):
                    price += amounts[entry, way, kind] * prices[kind]
                costs[entry] = price
                break
    return costs


@numba.njit(cache=True, nogil=True)
def _along_tree(costs, prices, first, node, ends, sizes, ways, lanes, which):
    """Rows of lanes, chosen as if each node had its first input alone, and whether there are
    any."""
    total, keys = costs.copy(), node[:-1].copy()
    for owner in range(len(keys) - 1, -1, -1):
        edge = first[owner]
        if edge < 0:
            continue
        producer = ends[edge, 0]
        gives, takes = sizes[edge]
        reduced = np.full(takes, np.inf)
        for row in range(node[owner], node[owner + 1]):
            take = which[lanes[edge, 1] + row - node[owner]]
            reduced[take] = min(reduced[take], total[row])
        message = np.full(gives, np.inf)
        for give in range(gives):
            for take in range(takes):
                price = prices[ways[edge] + give * takes + take] + reduced[take]
                message[give] = min(message[give], price)
        for row in range(node[producer], node[producer + 1]):
            total[row] += message[which[lanes[edge, 0] + row - node[producer]]]
    for owner in range(len(keys)):
        edge, least = first[owner], np.inf
        for row in range(node[owner], node[owner + 1]):
            cost = total[row]
            if edge >= 0:
                cost += prices[_entry(edge, keys[ends[edge, 0]], row, node, ends, sizes, ways,
                                      lanes, which)]
            if cost < least:
                least, keys[owner] = cost, row
        if not np.isfinite(least):
            return False, keys
    return True, keys


@numba.njit(cache=True, nogil=True)
def _improve(costs, prices, keys, around, starts, node, ends, sizes, ways, lanes, which):
    """Change one node at a time while that is cheaper; whether all keep to their limits."""
    total = 0.0
    for _ in range(ROUNDS):
        changed, total = False, 0.0
        for owner in range(len(keys)):
            least, now, best = np.inf, np.inf, node[owner]
            for row in range(node[owner], node[owner + 1]):
                cost = costs[row]
                for k in range(starts[owner], starts[owner + 1]):
                    edge = around[k]
                    producer, consumer = ends[edge]
                    entry = _entry(edge, row if producer == owner else keys[producer],
                                   row if producer != owner else keys[consumer],
                                   node, ends, sizes, ways, lanes, which)
                    cost += prices[entry]
                if cost < least:
                    least, best = cost, row
                if row == keys[owner]:
                    now = cost
            if least < now:
                keys[owner], now, changed = best, least, True
            total += now
        if not changed:
            break
    return np.isfinite(total)


@numba.njit(cache=True, nogil=True)
def _entry(edge, gives, takes, node, ends, sizes, ways, lanes, which):
    """The ways of an edge between these rows."""
    producer, consumer = ends[edge]
    give = which[lanes[edge, 0] + gives - node[producer]]
    take = which[lanes[edge, 1] + takes - node[consumer]]
    return ways[edge] + give * sizes[edge, 1] + take


def taken(tables: Tables, keys: np.ndarray, picks: np.ndarray,
          limit: int) -> tuple[int, np.ndarray]:
    """The most cycles that a node or an edge takes with these rows and foldings, and what all of
    them and all forks take together, shape (kinds,)."""
    return _taken(keys, picks, limit, tables.intervals, tables.amounts, tables.forks,
                  tables.way_intervals, tables.way_kinds, tables.way_amounts, tables.node,
                  tables.ends, tables.sizes, tables.ways, tables.lanes, tables.which)


@numba.njit(cache=True, nogil=True)
def _taken(keys, picks, limit, intervals, amounts, forks, way_intervals, way_kinds, way_amounts,
           node, ends, sizes, ways, lanes, which):
    interval, total = 0, np.zeros(amounts.shape[1])
    for owner in range(len(keys)):
        interval = max(interval, intervals[picks[owner]])
        for kind in range(len(total)):
            total[kind] += amounts[picks[owner], kind] + forks[keys[owner], kind]
    for edge in range(len(ends)):
        producer, consumer = ends[edge]
        entry = _entry(edge, keys[producer], keys[consumer], node, ends, sizes, ways, lanes, which)
        way = 0 if way_intervals[entry, 0] <= limit else 1
        interval = max(interval, way_intervals[entry, way])
        for k in range(len(way_kinds)):
            total[way_kinds[k]] += way_amounts[entry, way, k]
    return interval, total


def mended(tables: Tables, keys: np.ndarray, picks: np.ndarray, stages: slice, limits: np.ndarray,
           used: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Foldings of the same lanes, of which nodes change one at a time, each time the one after
    which least is exceeded.

    Parameters
    ----------
    tables : :class:`Tables`
    keys, picks : integers, shape (nodes,)
        Rows and foldings, to begin with.
    stages : :class:`slice`
        Nodes that may change.
    limits : integers, shape (nodes,)
        Cycles of a node.
    used, most : floats, shape (kinds,)
        What all take, and may take.

    Returns
    -------
    Foldings, shape (nodes,).
    """
    return _mended(tables.row, tables.intervals, tables.amounts, keys, picks, stages.start,
                   stages.stop, limits, used, most)


@numba.njit(cache=True, nogil=True)
def _mended(row, intervals, amounts, keys, picks, first, end, limits, used, most):
    used, picks = used.copy(), picks.copy()
    best = np.inf
    while (used > most).any():
        least, owner, choice = np.inf, -1, -1
        for node in range(first, end):
            for k in range(row[keys[node]], row[keys[node] + 1]):
                if intervals[k] > limits[node]:
                    continue
                over, highest = 0.0, -np.inf
                for kind in range(len(used)):
                    share = (used[kind] - amounts[picks[node], kind]
                             + amounts[k, kind]) / most[kind]
                    over += max(share - 1, 0.0)
                    highest = max(highest, share)
                score = over + 1e-3 * highest
                if score < least:
                    least, owner, choice = score, node, k
        if least >= best:
            break
        best = least
        for kind in range(len(used)):
            used[kind] += amounts[choice, kind] - amounts[picks[owner], kind]
        picks[owner] = choice
    return picks
