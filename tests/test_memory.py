"""What the memories of boards surely do."""

import pytest

from fcnnx import boards
from fcnnx.memory import MemoryTiming, memory_timing


def test_boards():
    timing = memory_timing(boards.get("zc706"), 125.0)
    assert timing == MemoryTiming(
        word_bytes=8, ports=4, words_per_cycle=timing.words_per_cycle, latency=19, jitter=25,
        refresh_cycles=44, refresh_interval=975, turnaround=5)
    assert timing.words_per_cycle == pytest.approx(4.2 * 0.9 / 8 / 0.125)
    # As many ports as the bandwidth fills, and no more words than they pass.
    assert memory_timing(boards.get("zc706"), 125.0, 1.5).ports == 2
    assert memory_timing(boards.get("zcu102"), 200.0).words_per_cycle == 4
    assert memory_timing(boards.get("zcu102"), 200.0, 3.2).ports == 1


@pytest.mark.parametrize("fields", [{"words_per_cycle": 1.5}, {"words_per_cycle": 0.0},
                                    {"refresh_cycles": 2000}, {"jitter": -1}, {"ports": 0}])
def test_no_such_memory(fields):
    with pytest.raises(ValueError, match="must"):
        MemoryTiming(word_bytes=8, **fields)
