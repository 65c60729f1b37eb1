"""A fault in a build is found, and its layer, pixel and channel are named."""

import pytest

from fcnnx.cosim import prove
from fcnnx.hdl.engine import run_stages


FRAMES = {"slow": 3, "fast": 3}


def flip(path, word, bit):
    """Invert one bit of one word of a memory's file."""
    lines = path.read_text().splitlines()
    lines[word] = f"{int(lines[word], 16) ^ 1 << bit:0{len(lines[word])}x}"
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(("engine", "stage", "memory"), [
    ("slow", "first/Conv", "slow.first_Conv_pair_0_weights.mem"),
    ("fast", "second/Conv", "fast.second_Conv_pair_0_weights.mem"),
])
def test_the_first_layer_that_differs(design, pair, inputs, engine, stage, memory):
    flip(design / "rtl" / memory, word=4, bit=5)
    result = prove(design, pair, inputs, FRAMES)
    assert result.mismatches == result.checks[engine].mismatches > 0
    (difference,) = result.differences
    assert (difference.engine, difference.stage) == (engine, stage)

    (spec,) = (each for each in pair.engines if each.name == engine)
    place = difference.frame, difference.row, difference.column, difference.channel
    given = {name: inputs[engine, name] for name, _ in spec.inputs}
    (values,) = (results[0] for each, results in run_stages(spec.stages, given)
                 if each.name == stage)
    assert values[place] == difference.expected != difference.found
    assert str(difference) == (
        f"{engine}: The first layer that differs is {stage}: in frame {place[0]}, row {place[1]}, "
        f"column {place[2]}, channel {place[3]} it gave {difference.found} instead of "
        f"{difference.expected}.")
