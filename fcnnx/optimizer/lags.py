"""What waits where branches part, before queues are sized: the longest branch is so far behind.

Of a branch whose stages work on tiles, each stage is behind by the time in which a tile comes and
the time in which it is worked on. What the other branches hold meanwhile is a part of a frame, and
takes block RAM in proportion: so much a stage's folding costs besides what it takes itself.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from fcnnx.hdl.operator import FeatureMap

from .candidates import Candidates


__all__ = ["Lags"]


BLOCK_BITS = 1 << 14  # of a block RAM that are used where words have 8 bits


class Lags:
    """Block RAMs of what waits beside the longest branches of a network's forks.

    Parameters
    ----------
    nodes : sequence of :class:`Candidates`
    links : pairs of nodes, from and to which a stream leads
        In the order of a fork's branches.
    forks : by node, its map and its branches
    """

    def __init__(self, nodes: Sequence[Candidates], links: Sequence[tuple[int, int]],
                 forks: Mapping[int, tuple[FeatureMap, int]]):
        self._nodes, self._forks = nodes, forks
        self._longest = dict(_longest_branches(nodes, links, forks))
        self._counts = True
        self._known: dict[int, tuple[tuple[int, ...], float]] = {}

    def remember(self, held: Mapping[int, tuple[int, ...]], picks: np.ndarray) -> None:
        """Keep in mind what branches of forks hold with a folding of each node, in values."""
        self._known = {fork: (held[fork], self._lag(stages, picks))
                       for fork, (_, stages) in self._longest.items() if fork in held}

    def forget(self) -> bool:
        """Have what waits cost nothing until it is known; whether that is new."""
        counted, self._counts = self._counts, False
        return counted and bool(self._longest)

    def _lag(self, stages: Sequence[int], picks: np.ndarray) -> float:
        return sum(float(self._nodes[k].lags[picks[k]]) for k in stages)

    def _blocks(self, fork: int, values: Sequence[int],
                spilled: Collection[tuple[int, int]]) -> float:
        """Block RAMs of so many values beside the longest branch, but for those in the memory."""
        beside = sum(count for branch, count in enumerate(values)
                     if branch != self._longest[fork][0] and (fork, branch) not in spilled)
        return beside * self._forks[fork][0].width / BLOCK_BITS

    def _frame(self, fork: int, spilled: Collection[tuple[int, int]]) -> float:
        """Block RAMs of a frame beside a fork's longest branch."""
        feature_map, count = self._forks[fork]
        return self._blocks(fork, (feature_map.size,) * count, spilled)

    def known(self, fork: int, spilled: Collection[tuple[int, int]]) -> int:
        """Block RAMs of what a fork is known to hold that its stages are charged with."""
        if not self._counts or fork not in self._known:
            return 0
        held, lag = self._known[fork]
        return round(min(self._blocks(fork, held, spilled), lag * self._frame(fork, spilled)))

    def charges(self, spilled: Collection[tuple[int, int]]) -> Iterator[tuple[int, np.ndarray]]:
        """Block RAMs that each folding of a stage is charged with, by node; where a fork was seen
        to hold less than that, less."""
        if not self._counts:
            return
        for fork, (_, stages) in self._longest.items():
            frame = self._frame(fork, spilled)
            if fork in self._known and self._known[fork][1]:
                held, lag = self._known[fork]
                frame = min(frame, self._blocks(fork, held, spilled) / lag)
            for node in stages:
                yield node, frame * self._nodes[node].lags


def _longest_branches(nodes: Sequence[Candidates], links: Sequence[tuple[int, int]],
                      forks: Collection[int]) -> Iterator[tuple[int, tuple[int, list[int]]]]:
    """Of each fork the branch of most stages that may be behind, and the stages on it up to where
    it meets others, or parts; of those that have one such branch."""
    consumers: list[list[int]] = [[] for _ in nodes]
    inputs = [0] * len(nodes)
    for producer, consumer in links:
        consumers[producer].append(consumer)
        inputs[consumer] += 1
    for fork in forks:
        branches = []
        for node in consumers[fork]:
            stages = []
            while inputs[node] == 1 and len(consumers[node]) == 1:
                stages.append(node)
                (node,) = consumers[node]
            branches.append([k for k in stages if nodes[k].lags.any()])
        counts = [len(stages) for stages in branches]
        if counts.count(max(counts)) == 1:
            longest = counts.index(max(counts))
            yield fork, (longest, branches[longest])
