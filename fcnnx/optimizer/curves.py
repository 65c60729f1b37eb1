"""How many words a stream moves in any window of time, at most, and a table of slots, at least.

Windows have any phase: engines start when they are told to. What is bounded is bounded for all
windows, however long: an engine repeats itself, and so does a table.
"""

import dataclasses
import math

import numba
import numpy as np


__all__ = ["Curve", "Service", "one_by_one", "read_words", "striped", "written_words"]


def read_words(transfers: np.ndarray, *, beats_per_word: int = 1, words_per_beat: int = 1,
               burst: int = 1) -> np.ndarray:
    """When an engine's input must have its words, at the latest.

    A word is needed with its first beat, and where a beat is of several words the last of them is;
    at most one is taken in a cycle. Words that fill the last burst up go one by one after it.

    Parameters
    ----------
    transfers : integers, shape (frames, beats)
        Cycle in which each beat crosses.
    beats_per_word, words_per_beat : :class:`int`
        One of them is 1.
    burst : :class:`int`
        Words; a frame is whole bursts.

    Returns
    -------
    Cycles, shape (frames, words): any constant may be added.
    """
    firsts = transfers[:, ::beats_per_word]
    steps = np.arange(words_per_beat) - words_per_beat + 1
    cycles = (firsts[:, :, None] + steps).reshape(len(transfers), -1)
    # No later than the one after it.
    cycles = -_in_turn(-cycles[::-1, ::-1])[::-1, ::-1]
    return _filled(cycles, burst)


def written_words(transfers: np.ndarray, *, beats_per_word: int = 1, words_per_beat: int = 1,
                  burst: int = 1) -> np.ndarray:
    """When an engine's output has made its words.

    A word is there with its last beat, or the words of a beat one by one; parameters and result as
    of :func:`read_words`.
    """
    frames, beats = transfers.shape
    words = -(-beats // beats_per_word)
    lasts = np.minimum(np.arange(1, words + 1) * beats_per_word, beats) - 1
    cycles = (transfers[:, lasts, None] + np.arange(words_per_beat)).reshape(frames, -1)
    return _filled(_in_turn(cycles), burst)


def _in_turn(cycles: np.ndarray) -> np.ndarray:
    """At most one in a cycle: each later than the one before."""
    turns = cycles.astype(np.int64).reshape(-1)
    _take_turns(turns)
    return turns.reshape(cycles.shape)


@numba.njit(cache=True, nogil=True)
def _take_turns(cycles):
    for k in range(1, len(cycles)):
        cycles[k] = max(cycles[k], cycles[k - 1] + 1)


def _filled(cycles: np.ndarray, burst: int) -> np.ndarray:
    more = -cycles.shape[1] % burst
    padding = cycles[:, -1:] + np.arange(1, more + 1)
    return _in_turn(np.concatenate([cycles, padding], axis=1))


def striped(cycles: np.ndarray, stripes: int, burst: int) -> list[np.ndarray]:
    """The words of a stream whose bursts go to one port after the other, from the first at the
    start of each frame: a stream for each.

    Parameters
    ----------
    cycles : integers, shape (frames, words)
    stripes, burst : :class:`int`
    """
    port = np.arange(cycles.shape[1]) // burst % stripes
    return [cycles[:, port == k] for k in range(stripes)]


def one_by_one(cycles: np.ndarray, step: float) -> np.ndarray:
    """When each of some things has its turn, so many cycles after the one before at the least.

    Parameters
    ----------
    cycles : numbers, shape (things,)
        From which on each of them waits, in their order.
    step : :class:`float`
    """
    turns = np.arange(len(cycles)) * step
    return np.maximum.accumulate(cycles - turns) + turns


# Rates at which a curve is bounded, as multiples of its own; the steps are fine where tables, which
# exceed it by little, touch it.
MULTIPLES = (1.0, 1.004, 1.01, 1.03, 1.06, 1.12, 1.25, 1.5, 2.0, 3.0, 5.0, 9.0, 20.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """The most words that a stream's engine takes, or makes, in a window of x cycles: the least of
    ``words[k] + rates[k] * x``, and of x.

    Parameters
    ----------
    words, rates : tuples of :class:`float`
        Words, and words per cycle: each pair is the least that holds for its rate. The first rate
        is the stream's own.
    """

    words: tuple[float, ...]
    rates: tuple[float, ...]

    @classmethod
    def of(cls, cycles: np.ndarray, interval: int) -> "Curve":
        """The curve of a stream that goes on for ever.

        Parameters
        ----------
        cycles : integers, shape (frames, words)
            In which each word moves, each later than the one before; the last frame is repeated.
        interval : :class:`int`
            Cycles after which it is, as many as a frame has words at least.
        """
        frame_words = cycles.shape[1]
        assert 0 < frame_words <= interval, (frame_words, interval)
        own = frame_words / interval
        rates = [own * multiple for multiple in MULTIPLES if own * multiple < 1] or [own]
        # A further frame adds as many words as its cycles do at the stream's own rate, so that no
        # window over more of them exceeds a rate by more.
        times = _in_turn(np.concatenate([cycles, cycles[-1:] + interval])).reshape(-1)
        return cls(words=tuple(_excess(times, np.array(rates)).tolist()), rates=tuple(rates))

    @property
    def rate(self) -> float:
        """Words per cycle in steady state."""
        return self.rates[0]

    def most(self, length: float) -> int:
        """The most words in a window of so many cycles."""
        return math.floor(float(self._bound(np.array([length]))[0]) + 1e-6)

    def _bound(self, lengths: np.ndarray) -> np.ndarray:
        lines = np.array(self.words) + np.array(self.rates) * lengths[:, None]
        return np.minimum(lines.min(axis=1), lengths)

    def excess(self, rate: float, latency: float) -> int:
        """The most by which the words of any window exceed a service of this rate (at least the
        stream's own) that begins so many cycles late."""
        assert rate >= self.rate * (1 - 1e-12)
        words, rates = np.array([*self.words, 0.0]), np.array([*self.rates, 1.0])
        later, sooner = np.triu_indices(len(words), 1)
        slower = rates[later] < rates[sooner]
        later, sooner = later[slower], sooner[slower]
        corners = (words[later] - words[sooner]) / (rates[sooner] - rates[later])
        lengths = np.concatenate([[latency], corners[corners > latency]])
        over = self._bound(lengths) - rate * (lengths - latency)
        # Words and bursts are whole.
        return math.floor(float(over.max()) + 1e-6)


@numba.njit(cache=True, nogil=True)
def _excess(times, rates):
    """The most by which the words of any window exceed each of these rates times its length."""
    least, most = np.full(len(rates), np.inf), np.zeros(len(rates))
    last = len(times) - 1
    for k in range(last + 1):
        # Where words follow each other evenly, a window that exceeds a rate most starts, or ends,
        # at the border.
        if 0 < k < last and times[k + 1] - times[k] == times[k] - times[k - 1]:
            continue
        for n in range(len(rates)):
            ahead = k - rates[n] * times[k]
            least[n] = min(least[n], ahead)
            most[n] = max(most[n], ahead - least[n])
    return most + 1 - rates


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """What a table gives a stream at least.

    Parameters
    ----------
    gaps : floats, shape (slots,)
        Most cycles from the end of one of its slots to the start of the first, second, ... own one
        after it.
    burst : :class:`int`
        Words.
    period : :class:`float`
        Cycles.
    """

    gaps: np.ndarray
    burst: int
    period: float

    @classmethod
    def of(cls, starts: np.ndarray, durations: np.ndarray, own: np.ndarray,
           burst: int, period: float) -> "Service":
        """Of a table whose slots start then and take so long; ``own`` lists the stream's."""
        begin = starts[own]
        count = len(own)
        later = np.concatenate([begin, begin + period])
        end = begin + durations[own]
        gaps = np.array([(later[m:m + count] - end).max() for m in range(1, count + 1)])
        return cls(gaps=gaps, burst=burst, period=period)

    @property
    def rate(self) -> float:
        """Words per cycle."""
        return len(self.gaps) * self.burst / self.period

    def least(self, length: float) -> int:
        """Words of the slots that start within so many cycles after an own one."""
        if length < 0:
            return 0
        turns, rest = divmod(length, self.period)
        within = int(np.searchsorted(self.gaps, rest, side="right"))
        # The last gap is shorter than a period by the slot itself.
        return self.burst * (int(turns) * len(self.gaps) + within)

    def latency(self, rate: float) -> float:
        """Cycles after which a steady service of this rate (no more than its own) begins that is
        never ahead of the table's."""
        return float((self.gaps - np.arange(len(self.gaps)) * self.burst / rate).max())

    def needed(self, curve: Curve, delay: float) -> int:
        """Words that a queue must hold so that it is never dry (read) or full (written) where each
        burst has moved so many cycles after its slot's start.

        The queue of a read stream must have been full once. The bound is ``burst - 1`` and the
        excess of the curve over the service: the last of its slots that was passed over found less
        than a burst of space (or of words), and each of those since then moved one.
        """
        own, need = self.rate, curve.rate
        assert own >= need
        rates = need + (own - need) * np.array([0.0, 0.25, 0.5, 1.0])
        most = min(curve.excess(float(rate), self.latency(float(rate)) + delay)
                   for rate in rates if rate > 0)
        return self.burst - 1 + most
