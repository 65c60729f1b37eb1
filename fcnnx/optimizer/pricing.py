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
    way_amounts : floats, shape (entries, 2, kinds)
    first : integers, shape (nodes,)
        The first edge into each node, or -1.
    around, starts : integers
        Edges of each node, twice each in all, and where a node's begin; one more than nodes.
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
    way_amounts: np.ndarray
    first: np.ndarray
    around: np.ndarray
    starts: np.ndarray


def tables(nodes: Sequence["Candidates"], edges: Sequence[tuple[int, int, "_Edge"]]) -> Tables:
    """Of these nodes and edges, without forks."""
    grouped = [node.grouped for node in nodes]
    counts = np.array([len(starts) for _, starts in grouped])
    firsts = _starts([len(node.intervals) for node in nodes])
    kinds = nodes[0].amounts.shape[1]
    around: list[list[int]] = [[] for _ in nodes]
    first = np.full(len(nodes), -1)
    for k, (producer, consumer, _) in enumerate(edges):
        around[producer].append(k)
        around[consumer].append(k)
        if first[consumer] < 0:
            first[consumer] = k
    sizes = np.array([edge.intervals.shape[1:] for *_, edge in edges]).reshape(-1, 2)
    indices = [each for *_, edge in edges for each in (edge.give_index, edge.take_index)]
    return Tables(
        node=_starts(counts),
        row=np.concatenate([*(starts + first for (_, starts), first
                              in zip(grouped, firsts, strict=False)), firsts[-1:]]),
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
        way_amounts=np.concatenate([np.zeros((0, 2, kinds)), *(
            edge.amounts.reshape(2, -1, kinds).swapaxes(0, 1) for *_, edge in edges)]),
        first=first, around=np.array([k for each in around for k in each], np.int64),
        starts=_starts([len(each) for each in around]))


def _starts(counts) -> np.ndarray:
    return np.cumsum([0, *counts], dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def cheapest(tables, limit, limits, prices):
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
    nodes, rows = len(tables.node) - 1, len(tables.row) - 1
    keys, picks = np.zeros(nodes, np.int64), np.zeros(rows, np.int64)
    costs = np.empty(rows)
    for node in range(nodes):
        possible = False
        for row in range(tables.node[node], tables.node[node + 1]):
            costs[row], picks[row] = _row_price(tables, row, limits[node], prices)
            possible |= np.isfinite(costs[row])
        if not possible:
            return False, keys, keys
    ways = np.empty(len(tables.way_intervals))
    for way in range(len(ways)):
        ways[way] = _way_price(tables, way, limit, prices)
    if not _along_tree(tables, costs, ways, keys):
        return False, keys, keys
    if not _improve(tables, costs, ways, keys):
        return False, keys, keys
    return True, keys, picks[keys]


@numba.njit(cache=True, nogil=True)
def _row_price(tables, row, limit, prices):
    """The least price of a row of lanes, and the folding that has it."""
    least, pick = np.inf, tables.row[row]
    for k in range(tables.row[row], tables.row[row + 1]):
        if tables.intervals[k] <= limit:
            price = 0.0
            for kind in range(len(prices)):
                price += tables.amounts[k, kind] * prices[kind]
            if price < least:
                least, pick = price, k
    for kind in range(len(prices)):
        least += tables.forks[row, kind] * prices[kind]
    return least, pick


@numba.njit(cache=True, nogil=True)
def _way_price(tables, entry, limit, prices):
    """The price of the first way that keeps to a limit."""
    for way in range(2):
        if tables.way_intervals[entry, way] <= limit:
            price = 0.0
            for kind in range(len(prices)):
                price += tables.way_amounts[entry, way, kind] * prices[kind]
            return price
    return np.inf


@numba.njit(cache=True, nogil=True)
def _along_tree(tables, costs, ways, keys):
    """Rows of lanes, chosen as if each node had its first input alone."""
    total = costs.copy()
    for node in range(len(keys) - 1, -1, -1):
        edge = tables.first[node]
        if edge < 0:
            continue
        producer = tables.ends[edge, 0]
        gives, takes = tables.sizes[edge]
        reduced = np.full(takes, np.inf)
        for row in range(tables.node[node], tables.node[node + 1]):
            take = tables.which[tables.lanes[edge, 1] + row - tables.node[node]]
            reduced[take] = min(reduced[take], total[row])
        message = np.full(gives, np.inf)
        for give in range(gives):
            for take in range(takes):
                price = ways[tables.ways[edge] + give * takes + take] + reduced[take]
                message[give] = min(message[give], price)
        for row in range(tables.node[producer], tables.node[producer + 1]):
            total[row] += message[tables.which[tables.lanes[edge, 0] + row
                                               - tables.node[producer]]]
    for node in range(len(keys)):
        edge, least = tables.first[node], np.inf
        keys[node] = tables.node[node]
        for row in range(tables.node[node], tables.node[node + 1]):
            cost = total[row]
            if edge >= 0:
                cost += ways[_entry(tables, edge, keys[tables.ends[edge, 0]], row)]
            if cost < least:
                least, keys[node] = cost, row
        if not np.isfinite(least):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _improve(tables, costs, ways, keys):
    """Change one node at a time while that is cheaper; whether all keep to their limits."""
    total = 0.0
    for _ in range(ROUNDS):
        changed, total = False, 0.0
        for node in range(len(keys)):
            now = _cost_around(tables, costs, ways, keys, node, keys[node])
            least, best = np.inf, tables.node[node]
            for row in range(tables.node[node], tables.node[node + 1]):
                cost = _cost_around(tables, costs, ways, keys, node, row)
                if cost < least:
                    least, best = cost, row
            if least < now:
                keys[node], now, changed = best, least, True
            total += now
        if not changed:
            break
    return np.isfinite(total)


@numba.njit(cache=True, nogil=True)
def _cost_around(tables, costs, ways, keys, node, row):
    """What a node with these lanes costs with all edges from and to it."""
    cost = costs[row]
    for k in range(tables.starts[node], tables.starts[node + 1]):
        edge = tables.around[k]
        producer, consumer = tables.ends[edge]
        cost += ways[_entry(tables, edge, row if producer == node else keys[producer],
                            row if producer != node else keys[consumer])]
    return cost


@numba.njit(cache=True, nogil=True)
def _entry(tables, edge, gives, takes):
    """The ways of an edge between these rows."""
    producer, consumer = tables.ends[edge]
    give = tables.which[tables.lanes[edge, 0] + gives - tables.node[producer]]
    take = tables.which[tables.lanes[edge, 1] + takes - tables.node[consumer]]
    return tables.ways[edge] + give * tables.sizes[edge, 1] + take


@numba.njit(cache=True, nogil=True)
def taken(tables, keys, picks, limit):
    """The most cycles that a node or an edge takes with these rows and foldings, and what all of
    them and all forks take together, shape (kinds,)."""
    interval, amounts = 0, np.zeros(tables.amounts.shape[1])
    for node in range(len(keys)):
        interval = max(interval, tables.intervals[picks[node]])
        for kind in range(len(amounts)):
            amounts[kind] += tables.amounts[picks[node], kind] + tables.forks[keys[node], kind]
    for edge in range(len(tables.ends)):
        producer, consumer = tables.ends[edge]
        entry = _entry(tables, edge, keys[producer], keys[consumer])
        way = 0 if tables.way_intervals[entry, 0] <= limit else 1
        interval = max(interval, tables.way_intervals[entry, way])
        for kind in range(len(amounts)):
            amounts[kind] += tables.way_amounts[entry, way, kind]
    return interval, amounts


@numba.njit(cache=True, nogil=True)
def mended(tables, keys, picks, stages, limits, used, most):
    """Foldings of the same lanes, of which nodes change one at a time, each time the one after
    which least is exceeded.

    Parameters
    ----------
    tables : :class:`Tables`
    keys, picks : integers, shape (nodes,)
        Rows and foldings, to begin with.
    stages : two integers
        The first node that may change, and the first behind them.
    limits : integers, shape (nodes,)
        Cycles of a node.
    used, most : floats, shape (kinds,)
        What all take, and may take.

    Returns
    -------
    Foldings, shape (nodes,).
    """
    used, picks = used.copy(), picks.copy()
    best = np.inf
    while (used > most).any():
        least, owner, choice = np.inf, -1, -1
        for node in range(stages[0], stages[1]):
            for k in range(tables.row[keys[node]], tables.row[keys[node] + 1]):
                if tables.intervals[k] > limits[node]:
                    continue
                over, highest = 0.0, -np.inf
                for kind in range(len(used)):
                    share = (used[kind] - tables.amounts[picks[node], kind]
                             + tables.amounts[k, kind]) / most[kind]
                    over += max(share - 1, 0.0)
                    highest = max(highest, share)
                score = over + 1e-3 * highest
                if score < least:
                    least, owner, choice = score, node, k
        if least >= best:
            break
        best = least
        for kind in range(len(used)):
            used[kind] += tables.amounts[choice, kind] - tables.amounts[picks[owner], kind]
        picks[owner] = choice
    return picks
