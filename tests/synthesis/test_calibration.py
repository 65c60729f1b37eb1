"""The formulas of costs, held against the counts that are kept in the repository."""

import importlib
import json
import pathlib
import statistics

import pytest

from fcnnx import boards
from fcnnx.hdl.device import Resources


BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def rows():
    """Prediction and count of each component on each device that it was synthesised for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        samples = list(importlib.import_module("samples").samples())
        devices = importlib.import_module("calibrate").DEVICES
    counts = json.loads((BENCHMARKS / "calibration.json").read_text())["counts"]
    return [(sample.name, family, sample.predict(boards.get(devices[family]).device),
             Resources(**counts[family][sample.name]))
            for sample in samples for family in counts if sample.name in counts[family]]


def test_there_are_components_of_every_kind(rows):
    assert len({name.split()[0] for name, _, _, _ in rows}) >= 18
    assert len(rows) > 80


def test_dsps_and_block_rams_are_exact(rows):
    assert [(name, family, said, found) for name, family, said, found in rows
            if (said.dsp, said.bram18, said.uram) != (found.dsp, found.bram18, found.uram)] == []


@pytest.mark.parametrize("kind", ["lut", "ff"])
def test_luts_and_flip_flops_are_near(rows, kind):
    errors = [abs(getattr(said, kind) / getattr(found, kind) - 1) for _, _, said, found in rows]
    assert statistics.median(errors) < 0.03
    # Of small components whatever is shared with a neighbour is much.
    large = [error for error, (*_, found) in zip(errors, rows, strict=True) if found.lut > 600]
    assert max(large) < 0.26
