"""The metrics of several networks on one device."""

import pytest

from fcnnx import metrics


ALONE = {"a": 1000, "b": 3000}
SHARED = {"a": 2000, "b": 4000}


def test_progress_and_its_sums():
    progress = metrics.normalised_progress(ALONE, SHARED)
    assert progress == {"a": 0.5, "b": 0.75}
    assert metrics.stp(progress) == 1.25
    assert metrics.ntt(progress) == pytest.approx({"a": 2, "b": 4 / 3})
    assert metrics.antt(progress) == pytest.approx(5 / 3)
    assert metrics.stp_fps({"a": 30.0, "b": 12.5}) == 42.5


def test_fairness():
    progress = metrics.normalised_progress(ALONE, SHARED)
    assert metrics.fairness(progress) == pytest.approx(2 / 3)
    assert metrics.fairness_weighted(progress, {"a": 1, "b": 1}) == pytest.approx(2 / 3)
    assert metrics.fairness_weighted(progress, {"a": 2, "b": 3}) == pytest.approx(1)


def test_one_network_alone():
    progress = metrics.normalised_progress({"a": 7}, {"a": 7})
    assert metrics.stp(progress) == metrics.antt(progress) == metrics.fairness(progress) == 1


def test_violation_rate():
    assert metrics.violation_rate([9, 10, 11, 12], [10] * 4) == 0.5
    assert metrics.violation_rate([], []) == 0
