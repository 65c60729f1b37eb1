"""The same jobs in Icarus; collected only where it is installed."""

import numpy as np
import pytest

from fcnnx.cosim import prove, run
from fcnnx.errors import BadInput, TargetMissed


FRAMES = {"slow": 3, "fast": 3}


def test_same_values_in_the_same_cycles(design, pair, inputs):
    results = [prove(design, pair, inputs, FRAMES, simulator=name)
               for name in ("icarus", "verilator")]
    assert [result.mismatches for result in results] == [0, 0]
    icarus, verilator = (result.run for result in results)
    assert icarus.cycles == verilator.cycles
    for port in pair.ports:
        assert np.array_equal(icarus.transfers[port.name], verilator.transfers[port.name])


def test_values_with_stalls(design, pair, inputs):
    assert prove(design, pair, inputs, FRAMES, simulator="icarus", stalls=1).mismatches == 0


def test_a_fault_is_found(design, pair, inputs):
    path = design / "rtl" / "fast.first_Conv_pair_0_weights.mem"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{int(lines[0], 16) ^ 32:x}", *lines[1:]]) + "\n")
    (difference,) = prove(design, pair, inputs, FRAMES, simulator="icarus").differences
    assert difference.stage == "first/Conv"


@pytest.mark.usefixtures("block_bad")
def test_a_network_that_hangs_is_named(queues_design, queues, queues_inputs):
    with pytest.raises(TargetMissed, match=r"^bad: The network hangs: no output in the 3000 "):
        run(queues_design, queues, queues_inputs, {"good": 2, "bad": 2}, simulator="icarus",
            patience=3000)


def test_what_it_cannot_do(design, pair, inputs, tmp_path):
    with pytest.raises(BadInput, match=r"^Icarus: Waveforms are written by Verilator only"):
        run(design, pair, inputs, FRAMES, simulator="icarus", waves=tmp_path / "x.fst")
    name = "slow.first_Conv_pair_0_weights.mem"
    (design / "rtl" / name).unlink()
    with pytest.raises(BadInput, match=f"Unable to open {name}"):
        run(design, pair, inputs, FRAMES, simulator="icarus")
