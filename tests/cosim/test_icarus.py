"""The same jobs in Icarus; collected only where it is installed."""

import re

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


def test_a_network_that_hangs_is_named(design, pair, inputs):
    path = design / "rtl" / "fast_engine.v"
    text = re.sub(r"\.o__valid\(first_Conv__valid\)", ".o__valid()", path.read_text())
    path.write_text(text.replace("endmodule", "  assign first_Conv__valid = 1'b0;\nendmodule"))
    with pytest.raises(TargetMissed, match=r"^fast: The network hangs: no output in the 3000 "):
        run(design, pair, inputs, FRAMES, simulator="icarus", patience=3000)


def test_what_it_cannot_do(design, pair, inputs, tmp_path):
    with pytest.raises(BadInput, match=r"^Icarus: Waveforms are written by Verilator only"):
        run(design, pair, inputs, FRAMES, simulator="icarus", waves=tmp_path / "x.fst")
    name = "slow.first_Conv_pair_0_weights.mem"
    (design / "rtl" / name).unlink()
    with pytest.raises(BadInput, match=f"Unable to open {name}"):
        run(design, pair, inputs, FRAMES, simulator="icarus")
