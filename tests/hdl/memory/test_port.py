"""Ports in whole: data, order, rules of AXI4, reserved places, full rate, errors."""

import dataclasses

import numpy as np
import pytest

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.port import MemoryPort, MemoryStream
from fcnnx.hdl.memory.testing import DECERR, EXOKAY, SLVERR, MemoryModel, run_port


FRAMES = 3
REGION = 1 << 14  # bytes between the frames of two streams


def port(width, sizes, *, table=(), outstanding=64):
    """Of streams by direction, burst and places."""
    return MemoryPort(
        axi=Axi(data_width=width, address_width=20), table=table, outstanding=outstanding,
        streams=tuple(MemoryStream(name=f"s{k}", direction=direction, burst=burst, places=places)
                      for k, (direction, burst, places) in enumerate(sizes)))


def frames(spec, bursts):
    """Commands of some frames for each stream, and words for those that are written."""
    rng = np.random.default_rng(4)
    commands, words = [], {}
    for number, (each, count) in enumerate(zip(spec.streams, bursts, strict=True)):
        commands.append([(REGION * number + (frame % 2) * REGION // 2, count)
                         for frame in range(FRAMES)])
        if not each.is_read:
            words[number] = [int.from_bytes(rng.bytes(spec.axi.word_bytes), "little")
                             for _ in range(FRAMES * count * each.burst)]
    return commands, words


def check(spec, run, memory, commands, words):
    """What was read is what is in the memory, and what was written is there."""
    size = spec.axi.word_bytes
    for number, each in enumerate(spec.streams):
        places = [address + size * k for address, bursts in commands[number]
                  for k in range(bursts * each.burst)]
        if each.is_read:
            assert run.words[number] == [memory.word(place) for place in places]
        else:
            last = dict(zip(places, words[number], strict=True))
            assert all(memory.word(place) == word for place, word in last.items())


MIXED = (("read", 8, 20), ("write", 4, 9), ("read", 2, 6), ("write", 16, 40), ("read", 16, 300))
MIXED_TABLE = (0, 4, 3, 3, 1, 2, 0, 2, 1, 4, 4)


@pytest.mark.parametrize(("width", "table", "seed"), [
    (64, MIXED_TABLE, 1), (128, (), 2), (128, MIXED_TABLE, None),
])
def test_words_and_rules(width, table, seed):
    spec = port(width, MIXED, table=table, outstanding=40)
    memory = MemoryModel(spec.axi, size=5 * REGION, seed=seed)
    commands, words = frames(spec, (4, 7, 11, 2, 3))
    rng = np.random.default_rng(5)
    pattern = rng.random((len(MIXED), 997)) < 0.4

    def stalls(number, cycle):
        return seed is None or bool(pattern[number, cycle % 997])

    run = run_port(spec, memory, commands, words, offers=stalls, takes=stalls)
    check(spec, run, memory, commands, words)
    assert not any(run.errors)


@pytest.mark.parametrize(("width", "burst"), [(64, 16), (128, 2)])
def test_a_word_in_every_cycle(width, burst):
    """Both ways at once, from the second burst on, across the ends of commands."""
    spec = port(width, (("read", burst, 64), ("write", burst, 64)), table=(0, 1),
                outstanding=128)
    memory = MemoryModel(spec.axi, size=2 * REGION)
    commands, words = frames(spec, (128 // burst,) * 2)
    run = run_port(spec, memory, commands, words)
    check(spec, run, memory, commands, words)
    count = FRAMES * 128
    for channel in ("r", "w"):
        cycles = run.transfers(channel)
        assert cycles == list(range(cycles[0], cycles[0] + count))
    assert run.given[0] == list(range(run.given[0][0], run.given[0][0] + count))


def test_every_word_has_its_place():
    """Streams whose words nobody takes ask for what they have places for, and hold up no other."""
    spec = port(64, (("read", 4, 11), ("read", 8, 8), ("read", 4, 100), ("read", 4, 16)),
                table=(0, 1, 2, 3), outstanding=16)
    memory = MemoryModel(spec.axi, size=4 * REGION, seed=2)
    commands, words = frames(spec, (6, 3, 6, 12))
    opens = 900
    run = run_port(spec, memory, commands, words,
                   takes=lambda number, cycle: number == 3 or cycle >= opens)
    check(spec, run, memory, commands, words)
    for number, each in enumerate(spec.streams[:3]):
        early = [cycle for cycle in run.served[number] if cycle < opens]
        held = min(each.places, FRAMES * commands[number][0][1] * each.burst) // each.burst
        assert len(early) == held
        full = [cycle for cycle in run.full[number] if cycle < opens]
        # As it has places for fewer words than come, a stream is full; and then until it opens.
        assert full == (list(range(full[0], opens)) if number < 2 else [])
    assert run.given[3][-1] < opens
    # A place that was left is asked for again as soon as the spec says.
    assert run.served[1][1] - run.given[1][7] <= spec.release + len(spec.streams) - 1


def test_latencies():
    """What a schedule is solved with, where nothing else is in the way."""
    for places in (16, 300):
        spec = port(64, (("read", 4, places), ("write", 4, places)), table=(0, 1))
        latency = 7
        memory = MemoryModel(spec.axi, size=2 * REGION, latency=latency)
        run = run_port(spec, memory, *frames(spec, (1, 1)))
        commanded = next(k for k, seen in enumerate(run.seen) if seen["command_0_valid"])
        assert run.served[0][0] == commanded + spec.command_latency
        asked, written = run.transfers("ar"), run.transfers("aw")
        assert [cycle - spec.request_latency for cycle in asked] == run.served[0]
        assert [cycle - spec.request_latency for cycle in written] == run.served[1]
        assert run.transfers("w")[0] == run.served[1][0] + spec.write_latency
        read, answers = run.transfers("r"), run.transfers("b")
        assert [cycle + spec.word_latency(0) for cycle in read] == run.given[0]
        assert run.done[0] == [cycle + spec.answer_latency for cycle in read[3::4]]
        assert run.done[1] == [cycle + spec.answer_latency for cycle in answers]
        slots = range(run.taken[1][3] + spec.entry, run.taken[1][3] + spec.entry + 2)
        assert run.served[1][0] in slots


@pytest.mark.parametrize("table", [(0, 1, 2), ()])
def test_errors_are_told_and_nothing_is_lost(table):
    spec = port(64, (("read", 8, 16), ("write", 4, 8), ("read", 4, 8)), table=table)
    refused = range(REGION + 32, REGION + 64)
    memory = MemoryModel(spec.axi, size=3 * REGION, seed=3, refused=refused)
    commands, words = frames(spec, (3, 4, 5))
    commands[0] = [(REGION, 1)]  # reads where the other is refused, too
    run = run_port(spec, memory, commands, words)
    assert [response for _, response in run.errors[0]] == [2] * 4
    assert [response for _, response in run.errors[1]] == [2, 2]
    assert run.errors[2] == []


ANSWERED = (("read", 4, 12), ("write", 2, 6), ("read", 2, 4), ("write", 4, 8), ("read", 1, 2))
FAULTY = {0: 3, 1: 5}  # streams that errors come to, and the bursts of their commands


def answers(spec, run):
    """The cycle of each response by what it answers: the address of a word that was read, or of a
    burst that was written."""
    words = [run.seen[cycle]["araddr"] + spec.axi.word_bytes * k for cycle in run.transfers("ar")
             for k in range(run.seen[cycle]["arlen"] + 1)]
    bursts = [run.seen[cycle]["awaddr"] for cycle in run.transfers("aw")]
    return dict(zip(words, run.transfers("r"), strict=True)) | dict(
        zip(bursts, run.transfers("b"), strict=True))


def without_responses(run):
    """All that a port did in each cycle, but what was said of responses."""
    return [{name: value for name, value in seen.items()
             if name not in ("rresp", "bresp") and not name.startswith("error")}
            for seen in run.seen]


@pytest.mark.parametrize(("table", "seed"), [((0, 1, 2, 3, 4), 7), ((), 8)])
def test_an_error_on_any_beat(table, seed):
    """The first command of a stream has one on its first response, the next on its second, and so
    on to the last; nothing else differs from a run without errors in any cycle."""
    spec = port(64, ANSWERED, table=table, outstanding=24)
    commands, refused, last, words = [], [], [], {}
    rng = np.random.default_rng(6)
    for number, each in enumerate(spec.streams):
        bursts = FAULTY.get(number, 3)
        count = bursts * each.burst if each.is_read else bursts  # responses of a command
        step = bursts * each.burst * spec.axi.word_bytes // count
        starts = [REGION * number + 256 * k for k in range(count)]
        commands.append([(start, bursts) for start in starts])
        refused.append([start + step * k for k, start in enumerate(starts)]
                       if number in FAULTY else [])
        last.append([start + step * (count - 1) for start in starts])
        if not each.is_read:
            words[number] = rng.integers(0, 1 << 63, count * bursts * each.burst).tolist()
    pattern = rng.random((len(ANSWERED), 997)) < 0.4

    def stalls(number, cycle):
        return bool(pattern[number, cycle % 997])

    def run(response):
        memory = MemoryModel(spec.axi, size=5 * REGION, seed=seed, response=response,
                             refused={address for each in refused for address in each})
        found = run_port(spec, memory, commands, words, offers=stalls, takes=stalls)
        check(spec, found, memory, commands, words)
        return found

    good = run(EXOKAY)
    assert not any(good.errors)
    for response in (SLVERR, DECERR):
        found = run(response)
        told = {address: cycle + spec.answer_latency
                for address, cycle in answers(spec, found).items()}
        for number in range(len(ANSWERED)):
            assert found.errors[number] == [
                (told[address], response) for address in refused[number]]
            assert found.done[number] == [told[address] for address in last[number]]
        assert without_responses(found) == without_responses(good)


def test_bursts_end_at_the_boundary():
    assert Axi(data_width=1024, burst_beats=64).longest_burst == 32


@pytest.mark.parametrize(("changes", "message"), [
    ({"streams": ()}, r"^A port must have streams of different names, not none"),
    ({"table": (0, 0)}, r"^Slots must be of all of 2 streams, not of \[0\]"),
    ({"table": (0, 1, 2)}, r"^Slots must be of all of 2 streams, not of \[0, 1, 2\]"),
    ({"outstanding": 4}, r"^s0: A burst must have 256 words, and 4 outstanding ones, or fewer"),
    ({"axi": Axi(data_width=128, burst_beats=6)}, r"^s0: A burst must have 4 words, and 64 out"),
])
def test_port_errors(changes, message):
    spec = port(64, (("read", 8, 16), ("write", 4, 8)))
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(spec, **changes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"direction": "in"}, r"^x: A stream is read or written, not 'in'$"),
    ({"burst": 12}, r"^x: Words of a burst must be a power of two, not 12$"),
    ({"places": 7}, r"^x: There must be places for 8 words or more, not 7$"),
])
def test_stream_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        MemoryStream(**{"name": "x", "direction": "read", "burst": 8, "places": 16} | changes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"data_width": 48}, r"^Data width must be a power of two between 32 and 1024 bits, not 48$"),
    ({"address_width": 12}, r"^Address width must be between 13 and 64 bits, not 12$"),
    ({"burst_beats": 257}, r"^A burst must have between 1 and 256 beats, not 257$"),
])
def test_axi_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        Axi(**{"data_width": 64} | changes)
