"""What the streams between the memory and the engines ask for."""

import dataclasses
import functools
import math

import numpy as np

from fcnnx.memory import MemoryTiming

from .curves import Curve, read_words, striped, written_words


__all__ = ["CONTROLLER", "Demand", "burst_words", "engine_demand", "round_robin_places"]


CONTROLLER = 12  # cycles in a port's controller: from space to request, from word to queue
BURST = 16  # words: longer ones make queues longer, and a port loses nothing between bursts
SHORTEST = 4


def burst_words(words: int, longest: int) -> int:
    """Words of a burst of a stream of so many a frame: a power of two, and little padding."""
    most = min(BURST, 1 << longest.bit_length() - 1)
    return max(min(SHORTEST, most), min(most, 1 << max(words - 1, 0).bit_length()))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Demand:
    """A stream between the memory and an engine.

    Parameters
    ----------
    name, network : :class:`str`
    direction : :class:`str`
        ``"read"`` or ``"write"``.
    burst : :class:`int`
        Words, a power of two.
    cycles : integers, shape (frames, words), or none
        In which its words are taken or made, whole bursts; the last frame is repeated. Without it
        the stream takes what it gets: a slot in each period.
    interval : :class:`int`
        Cycles per frame.
    stripes : :class:`bool`
        Whether its bursts may go over several ports.
    """

    name: str
    network: str
    direction: str
    burst: int
    cycles: np.ndarray | None = None
    interval: int = 0
    stripes: bool = True

    def __post_init__(self) -> None:
        if self.direction not in ("read", "write"):
            raise ValueError(f"Direction must be read or write, not {self.direction!r}")
        if self.burst < 1 or self.burst & self.burst - 1:
            raise ValueError(f"Burst must be a power of two, not {self.burst!r}")
        if self.cycles is not None and self.cycles.shape[1] % self.burst:
            raise ValueError(f"A frame must be whole bursts of {self.burst}, "
                             f"not {self.cycles.shape[1]!r} words")

    @property
    def words(self) -> int:
        """Per frame."""
        return 0 if self.cycles is None else self.cycles.shape[1]

    @property
    def rate(self) -> float:
        """Words per cycle."""
        return self.words / self.interval if self.words else 0.0

    def curve(self, stripe: int = 0, stripes: int = 1) -> Curve:
        """The most words that it, or a stripe of it, takes in any window; kept once it is known."""
        if (stripe, stripes) not in self._curves:
            assert self.cycles is not None
            self._curves[stripe, stripes] = Curve.of(
                striped(self.cycles, stripes, self.burst)[stripe], self.interval)
        return self._curves[stripe, stripes]

    @functools.cached_property
    def _curves(self) -> dict[tuple[int, int], Curve]:
        return {}


def engine_demand(transfers: np.ndarray, interval: int, *, name: str, network: str,
                  direction: str, longest_burst: int, beats_per_word: int = 1,
                  words_per_beat: int = 1, stripes: bool = True) -> Demand:
    """What an engine that runs at its pace asks of the memory for one of its streams.

    Parameters
    ----------
    transfers : integers, shape (frames, beats)
        Cycles of its beats, with the offers of the pace: what is not paced runs ahead of its
        interval. The last frame is repeated.
    interval : :class:`int`
        Cycles per frame.
    name, network, direction : :class:`str`
        Of the demand.
    longest_burst : :class:`int`
        Words.
    beats_per_word, words_per_beat : :class:`int`
        One of them is 1.
    stripes : :class:`bool`
        Of the demand.

    Raises
    ------
    ValueError
        If the last two frames differ by other than the interval.
    """
    if (np.diff(transfers[-2:], axis=0) != interval).any():
        raise ValueError(f"{network}: {name} does not repeat itself within {len(transfers)} "
                         f"frames")
    words = -(-transfers.shape[1] // beats_per_word) * words_per_beat
    burst = burst_words(words, longest_burst)
    moved = read_words if direction == "read" else written_words
    cycles = moved(transfers, beats_per_word=beats_per_word, words_per_beat=words_per_beat,
                   burst=burst)
    return Demand(name=name, network=network, direction=direction, burst=burst, cycles=cycles,
                  interval=interval, stripes=stripes)


def round_robin_places(demand: Demand, memory: MemoryTiming, *,
                       controller: int = CONTROLLER) -> int:
    """Words of a queue that is planned as if the memory were the stream's own: two bursts, and
    what moves in the time that one takes to come."""
    waiting = demand.rate * (memory.latency + memory.jitter + controller)
    return demand.burst * (2 + math.ceil(waiting / demand.burst))
