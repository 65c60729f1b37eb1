"""Work of several threads comes back in order, and so does what goes wrong."""

import threading

import pytest

from fcnnx.optimizer.concurrency import at_once


def test_results_come_in_order():
    met = threading.Barrier(2, timeout=10)

    def work(number, factor):
        if number < 2:
            met.wait()  # both are under way at once
        return number * factor

    assert at_once(work, range(5), [1, 2, 3, 4, 5]) == [0, 2, 6, 12, 20]
    assert at_once(work, [], []) == []


def test_the_first_error_is_told():
    def work(number):
        raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match="number 0"):
        at_once(work, range(40))
