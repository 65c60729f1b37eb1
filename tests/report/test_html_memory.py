"""The part of the page on the memory: every stream and slot, and what was measured."""

import itertools

import pytest

from fcnnx.report import charts, html
from fcnnx.report.measured import with_measurements

from .test_html import read, row_of


def test_no_memory(planned, simulation):
    reader = read(planned, simulation)
    assert "Memory" not in reader.words
    assert "memory side" not in reader.words


def test_every_figure(with_memory, simulated):
    reader = read(with_memory, simulated)
    # Bandwidth, two tables, the beginning of one, and levels.
    assert reader.tags.count("svg") == 9
    assert row_of(reader, "memory side") == ["memory side", "0", "5", "4,321", "3,210"]
    assert row_of(reader, "GB/s") == ["GB/s", "0.75 of 3.78", "0.625"]
    assert row_of(reader, "used of the memory, refreshes taken off")[1:] == ["40.0%", "35.0%"]
    assert row_of(reader, "cycles in which engines waited for it")[1:] == ["0, proven", "0"]
    assert row_of(reader, "a", "0")[3:] == ["1,236", "1,236", "1,000", "0.809", "4", "0"]
    assert row_of(reader, "the same, once a frame of every network is done")[1:] == ["", "39.0%"]
    assert row_of(reader, "a x <0>") == ["a x <0>", "0", "read", "618", "400", "480", "83%", "60",
                                         "16", "96", "≥ 6", "50 to 80", "240", "222"]
    assert row_of(reader, "b y")[9:12] == ["24", "≤ 18", "0 to 30"]
    assert row_of(reader, "b load") == ["b load", "0", "read once", "", "", "8", "", "1", "16",
                                        "32", "", "", "", "222"]
    assert "from cycle 4,000 on" in reader.text
    page = html.page(with_measurements(with_memory, simulated, None))
    assert '<span class="bad">0 to 30</span>' in page
    assert '<span class="bad">3 to 33</span>' in page
    assert '<span class="bad">50 to 80</span>' not in page
    assert "Port 0 : 80 slots in 2,000 cycles" in reader.text
    assert "Its first 64 slots" in reader.text
    assert "port 0: 80 slots <fit>" in reader.words
    assert "<fit>" not in html.page(with_measurements(with_memory, None, None))


def test_in_turn(with_memory):
    with_memory["schedule"] |= {"policy": "round-robin", "paces": {"a": 0, "b": 0}, "proven": []}
    for port in with_memory["schedule"]["ports"]:
        port |= {"table": [], "period_cycles": 0}
        port["streams"] = [each | {"slots": 0, "guaranteed": 0.0, "level": None}
                           for each in port["streams"]]
    reader = read(with_memory)
    assert "Nothing is proven" in reader.words
    assert "Slots on the axis of time" not in reader.words
    assert "Levels of the queues" not in reader.words
    assert row_of(reader, "b x")[7:9] == ["not known", "not measured"]
    assert row_of(reader, "cycles in which engines waited for it")[1:] == ["not known",
                                                                          "not measured"]
    assert reader.tags.count("svg") == 5


def test_stripes(with_memory, simulated):
    first, second = (port["streams"][0] for port in with_memory["schedule"]["ports"])
    for stripe, each in enumerate((first, second)):
        each |= {"name": "b x", "network": "b", "stripe": stripe, "stripes": 2}
    simulated["memory"]["streams"][0] |= {"name": "b x"}
    reader = read(with_memory, simulated)
    assert row_of(reader, "b x 1/2")[:2] == ["b x 1/2", "0"]
    assert row_of(reader, "b x 2/2")[11] == "3 to 33"
    assert "one stream over n ports" in reader.text
    assert reader.tags.count("svg") == 9


def test_waiting_is_told(with_memory, simulated):
    simulated["memory"]["underruns"] = 12
    simulated["networks"]["a"] = simulated["networks"]["a"] | {"interval_cycles": 1240}
    alarms = read(with_memory, simulated | {"stalls": 3}).text.split("Networks")[0]
    assert "Engines waited for the memory in 12 simulated cycles" in alarms
    assert "a: the predicted interval, cycles, 1,236, is not the simulated 1,240." in alarms
    assert "more than the" not in alarms
    simulated["networks"]["a"] |= {"longest_latency_cycles": 2469}
    assert "a: a simulated frame took 2,469 cycles, more than the 2,468 that" in read(
        with_memory, simulated).text


def test_slots_fill_the_period(with_memory):
    port, turnaround = with_memory["schedule"]["ports"][0], 5
    times = charts.slot_times(port, turnaround)
    assert len(times) == 80
    assert times[0][0] == 0
    assert times[-1][1] == pytest.approx(2000)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(times))
    reads, turned, writes = (end - start for start, end in (times[1], times[0], times[3]))
    unit = reads / (16 / 0.945)
    assert turned == pytest.approx(reads)  # the last slot is read, too
    assert writes == pytest.approx(unit * (8 / 0.945 + turnaround))
    assert times[4][1] - times[4][0] == pytest.approx(reads + unit * turnaround)


def test_tables_of_any_length_are_drawn(with_memory):
    port = with_memory["schedule"]["ports"][0]
    short = len(charts.slots(with_memory, 0))
    port["table"] *= 25
    assert len(charts.slots(with_memory, 0)) < 4 * short + 100_000
    assert len(charts.slots(with_memory, 0, first=64)) < 2 * short
