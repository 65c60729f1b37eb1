"""Boards are found by name, and hold what the optimizer reads."""

import pytest

from fcnnx import boards
from fcnnx.errors import BadInput


def test_every_file_is_a_board():
    assert boards.names() == ("kv260", "ulx3s-85f", "zc706", "zcu102", "zcu104", "zedboard")
    for name in boards.names():
        board = boards.get(name)
        assert board.name == name
        assert board.description
        assert board.device.resources.dsp > 0
        assert board.device.family in ("xc7", "xcup", "ecp5")


def test_names_are_forgiving():
    assert boards.get("ULX3S_85F") is boards.get("ulx3s-85f")


def test_bandwidth_is_the_lesser_of_memory_and_ports():
    zedboard = boards.get("zedboard")
    assert zedboard.bandwidth_gbps(125) == pytest.approx(3.78)
    assert zedboard.bandwidth_gbps(100) == pytest.approx(3.2)
    assert boards.get("ulx3s-85f").bandwidth_gbps(125) == 0


def test_frames_cross_the_memory_where_there_is_one():
    assert {name: boards.get(name).usual_io for name in boards.names()} == {
        name: "stream" if name == "ulx3s-85f" else "dram" for name in boards.names()}


@pytest.mark.parametrize(("name", "message"), [
    ("zcu120", r"--board: There is no board 'zcu120'\. Near it: zcu104, zcu102, zc706\."),
    ("?", r"--board: There is no board '\?'\. There are: kv260, .*, zedboard\."),
])
def test_unknown_board(name, message):
    with pytest.raises(BadInput, match=f"^{message}$"):
        boards.get(name)
