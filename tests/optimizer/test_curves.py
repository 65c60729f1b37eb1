"""Words in any window, at most and at least, against counting them all."""

import numpy as np
import pytest

from fcnnx.optimizer.curves import (
    Curve,
    Service,
    one_by_one,
    read_words,
    striped,
    written_words,
)


def even(rng, words, interval):
    return np.arange(words) * interval // words


def passes(rng, words, interval):
    count = int(rng.integers(2, 6))
    each = -(-words // count)
    return (np.arange(words) // each) * (interval // count) + np.arange(words) % each


def anyhow(rng, words, interval):
    return np.sort(rng.choice(interval, words, replace=False))


def counted(cycles, length):
    """The most in any window that starts with a word."""
    return int((np.searchsorted(cycles, cycles + length) - np.arange(len(cycles))).max())


@pytest.mark.parametrize("pattern", [even, passes, anyhow])
@pytest.mark.parametrize("seed", range(3))
def test_windows(pattern, seed):
    rng = np.random.default_rng(seed)
    words, interval = int(rng.integers(20, 60)), int(rng.integers(200, 400))
    start = np.stack([pattern(rng, words, interval) for _ in range(2)])
    frames = np.concatenate([start, start[1:]]) + interval * np.arange(3)[:, None]
    curve = Curve.of(frames, interval)
    assert curve.rate == words / interval
    forever = np.concatenate([frames, frames[-1] + interval * np.arange(1, 7)[:, None]], axis=None)
    lengths = np.arange(1, 4 * interval)
    exact = np.array([counted(forever, length) for length in lengths])
    bound = np.array([curve.most(int(length)) for length in lengths])
    assert (bound >= exact).all()
    # Each line touches.
    for more, rate in zip(curve.words, curve.rates, strict=True):
        assert (exact - rate * lengths).max() == pytest.approx(more)
    for rate in (curve.rates[0], *curve.rates[2:5]):
        for latency in (0, 40, 333):
            over = (exact - rate * np.maximum(lengths - latency, 0)).max()
            assert int(over + 1e-6) <= curve.excess(rate, latency) <= over + words / 4 + 2


@pytest.mark.parametrize("seed", range(3))
def test_service(seed):
    rng = np.random.default_rng(seed)
    durations = rng.integers(4, 20, 25).astype(float)
    starts, period = np.cumsum(durations) - durations, durations.sum()
    own = np.sort(rng.choice(25, 6, replace=False))
    service = Service.of(starts, durations, own, burst=8, period=period)
    assert service.rate == pytest.approx(48 / period)
    begins = np.concatenate([starts[own] + turn * period for turn in range(5)])
    lengths = np.linspace(0, 3 * period, 400)
    for length in lengths:
        least = min(8 * int(((begins >= end - 1e-9) & (begins <= end + length)).sum())
                    for end in starts[own] + durations[own])
        assert service.least(length) == least
    for share in (0.3, 1.0):
        rate = share * service.rate
        steady = rate * (lengths - service.latency(rate))
        assert (steady <= [service.least(length) + 1e-6 for length in lengths]).all()


def test_words_of_beats():
    beats = np.array([[0, 1, 5, 6, 9], [20, 21, 25, 26, 29]])
    assert read_words(beats, beats_per_word=2).tolist() == [[0, 5, 9], [20, 25, 29]]
    assert written_words(beats, beats_per_word=2).tolist() == [[1, 6, 9], [21, 26, 29]]
    assert read_words(beats, beats_per_word=2, burst=4)[:, -1].tolist() == [10, 30]
    assert read_words(beats[:, ::2], words_per_beat=2).tolist() == [
        [-1, 0, 4, 5, 8, 9], [19, 20, 24, 25, 28, 29]]
    # Beats that come faster than words: those before them, or after them, give way.
    close = np.array([[0, 1, 2]])
    assert read_words(close, words_per_beat=2).tolist() == [[-3, -2, -1, 0, 1, 2]]
    assert written_words(close, words_per_beat=2).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_stripes():
    cycles = np.arange(40).reshape(2, 20)
    first, second = striped(cycles, 2, 4)
    assert first.tolist() == [[0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19],
                              [20, 21, 22, 23, 28, 29, 30, 31, 36, 37, 38, 39]]
    assert second.shape == (2, 8)


@pytest.mark.parametrize("seed", range(20))
def test_bursts_that_come_when_they_like_are_served_in_time(seed):
    """Against a walk of the table: who asks waits for no more than the service's latency behind
    those before it, who have their turns at its rate."""
    rng = np.random.default_rng(seed)
    table = rng.permutation(np.concatenate([[0], rng.integers(0, 4, rng.integers(3, 12))]))
    durations = rng.integers(2, 20, 4)[table].astype(float)
    starts, period = np.cumsum(durations) - durations, float(durations.sum())
    own = np.flatnonzero(table == 0)
    service = Service.of(starts, durations, own, 1, period)
    arrivals = np.sort(rng.integers(0, int(60 * period), 40 * len(own))).astype(float)
    now, slot, served = 0.0, int(rng.integers(len(table))), []
    while len(served) < len(arrivals):
        waits = table[slot] == 0 and arrivals[len(served)] <= now
        if waits:
            served.append(now)
        # Others take all of their time, or none, as a slot that is passed over does.
        busy = waits or (table[slot] != 0 and rng.random() < 0.8)
        now += durations[slot] if busy else 1
        slot = (slot + 1) % len(table)
    latest = one_by_one(arrivals, 1 / service.rate) + service.latency(service.rate) + 1
    assert (np.array(served) <= latest + 1e-6).all()
