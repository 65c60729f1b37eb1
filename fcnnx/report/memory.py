"""The part of report.html on what crosses the memory, and when."""

from collections.abc import Iterator, Mapping
from typing import Any

from . import charts
from .markup import card, escaped, named, table, table_row
from .numbers import number, share


__all__ = ["memory"]


Report = Mapping[str, Any]


def memory(report: Report) -> str:
    """How the ports of the memory serve their streams; nothing where there is no memory.

    Parameters
    ----------
    report : mapping
        As in report.json.
    """
    schedule = report["schedule"]
    if schedule is None:
        return ""
    return card(
        "Memory", f"<p>{_policy(schedule)}</p>", charts.bandwidth(report),
        '<p class="about">Words that cross each port, outside of refreshes and turns. A port\'s '
        "parts are its streams, written ones paler; <i>spare</i> is what tables give beyond the "
        "need.</p>",
        _totals(report), "<h3>Networks at the memory</h3>", _networks(report),
        *_tables(report), "<h3>Streams and their queues</h3>", _streams(report),
        *_levels(report),
        *_proof(schedule))


def gbps(report: Report, words_per_cycle: float) -> float:
    """Words of a port per cycle in 10 ** 9 bytes per second."""
    return words_per_cycle * report["schedule"]["word_bytes"] * report["clock_mhz"] / 1e3


def _policy(schedule: Mapping[str, Any]) -> str:
    ports = len(schedule["ports"])
    used = (f"{ports} port{'s' if ports > 1 else ''} of {8 * schedule['word_bytes']} bits "
            f"{'serve' if ports > 1 else 'serves'} the streams")
    if schedule["policy"] == "round-robin":
        return (f"{used} in turn (round-robin). <b>Nothing is proven</b>: queues are as long as "
                "each stream would need with the memory its own.")
    return (f"{used} by cyclic tables that were solved when the accelerator was planned. No queue "
            "of a stream that is read runs dry, and none of one that is written runs full: "
            "<b>proven</b> for the memory below.")


def _totals(report: Report) -> str:
    schedule, simulation = report["schedule"], report["simulation"]
    found = simulation and simulation["memory"]
    unmeasured = '<span class="unmeasured">not measured</span>'
    moved = waited = used = steady = unmeasured
    if found:
        moved = number(found["bytes"] * report["clock_mhz"] / simulation["cycles"] / 1e3)
        used, waited = f"{found['utilisation']:.1%}", _waits(found["underruns"], schedule)
        steady = f"{found['steady_utilisation']:.1%}"
    none = "0, proven" if schedule["policy"] == "cyclic" else "not known"
    rows = [
        ["GB/s", f"{number(report['total']['dram_gbps'])} of "
         f"{number(report['budget']['dram_gbps'])}", moved],
        ["used of the memory, refreshes taken off", f"{schedule['utilisation']:.1%}", used],
        ["the same, once a frame of every network is done", "", steady],
        ["cycles in which engines waited for it", none, waited]]
    note = ("" if not found else '<p class="about">Simulations begin with empty queues and the '
            "loading of weights, and end with the last frame: they move less than in steady "
            "state.</p>")
    return table(["all streams together", "planned", "simulated"], map(table_row, rows)) + note


def _waits(cycles: int, schedule: Mapping[str, Any]) -> str:
    kind = "good" if not cycles else "bad" if schedule["policy"] == "cyclic" else ""
    return f'<span class="{kind}">{number(cycles)}</span>'


def _networks(report: Report) -> str:
    schedule, simulation = report["schedule"], report["simulation"]
    heads = ["network", "bytes a frame", "GB/s", "pace", "interval", "T alone",
             "T alone / interval", "frames in buffers",
             *(["waited<br><small>simulated</small>"] if simulation else [])]
    rows = []
    for n, (name, row) in enumerate(report["networks"].items()):
        pace = schedule["paces"][name]
        bytes_per_second = row["dram_bytes_per_frame"] * row["frames_per_second"]
        waited = ([_waits(simulation["networks"][name]["starved_cycles"], schedule)]
                  if simulation else [])
        rows.append(table_row([
            named(name, n), number(row["dram_bytes_per_frame"]), number(bytes_per_second / 1e9),
            number(pace) if pace else "none", number(row["interval_cycles"]),
            number(row["alone_cycles"]), f"{1 / row['ntt']:.3f}",
            number(schedule["buffers"][name]), *waited]))
    return table(heads, rows) + (
        '<p class="about">Cycles. Pace: a frame enters no earlier than so many cycles after the '
        "one before. T alone: the interval with the whole device, and the whole memory. Frames in "
        "buffers: base addresses of each input and output.</p>")


def _tables(report: Report) -> Iterator[str]:
    """The tables on an axis of time, whole, and what fits of the beginning."""
    schedule = report["schedule"]
    if schedule["policy"] != "cyclic":
        return
    yield "<h3>Slots on the axis of time</h3>"
    yield ('<p class="about">One turn of each port\'s table, which it walks for ever: a slot is a '
           "burst of a stream. Slots that nothing is ready for take a cycle, so that turns are "
           "shorter in fact. Slots that lie less than a point apart are drawn as one.</p>")
    for index, port in enumerate(schedule["ports"]):
        count = len(port["table"])
        yield (f"<p><b>Port {index}</b>: {_slots(count)} in {number(port['period_cycles'])} "
               f"cycles, at most {number(port['outstanding'])} words under way.</p>")
        yield f'<div class="tall">{charts.slots(report, index)}</div>'
        if count > charts.MANY_SLOTS:
            yield f"<p>Its first {charts.MANY_SLOTS} slots:</p>"
            yield (f'<div class="tall">'
                   f"{charts.slots(report, index, first=charts.MANY_SLOTS)}</div>")


def _slots(count: int) -> str:
    return f"{number(count)} slot{'s' if count > 1 else ''}"


def _streams(report: Report) -> str:
    names = [*report["networks"]]
    cyclic = report["schedule"]["policy"] == "cyclic"
    heads = ["stream", "port", "", "words a frame", "needs<br><small>MB/s</small>",
             *(["is given<br><small>MB/s</small>", "needs of it", "slots"] if cyclic else []),
             "burst<br><small>words</small>", "queue<br><small>words</small>",
             "level<br><small>planned</small>", "level<br><small>simulated</small>",
             "lasts<br><small>cycles</small>",
             *(["late at most<br><small>cycles</small>"] if cyclic else [])]
    rows = []
    simulated = _simulated(report)
    for index, port in enumerate(report["schedule"]["ports"]):
        for each in port["streams"]:
            given = [_megabytes(report, each["guaranteed"]),
                     share(each["rate"], each["guaranteed"]) if each["rate"] else "",
                     number(each["slots"])] if cyclic else []
            lasts = number(each["places"] / each["rate"] // 1) if each["rate"] else ""
            rows.append(table_row([
                named(charts.stream_title(each), names.index(each["network"])), number(index),
                each["direction"] if each["rate"] else "read once",
                number(each["words_per_frame"]) if each["rate"] else "",
                _megabytes(report, each["rate"]) if each["rate"] else "", *given,
                number(each["burst"]), number(each["places"]), *_level(
                    each, simulated.get((index, each["name"]))), lasts,
                *([number(each["latency_cycles"])] if cyclic else [])]))
    note = ("" if not cyclic else
            "Queues hold the least, in whole bursts and two at least, with which they are proven "
            "never to run dry, or full. Level: words that are there for the engine, at least, or "
            "that wait for the memory, at most; simulated from the first frame on, with the few "
            "that stand between queue and engine. Late: cycles from a slot to its burst's last "
            "word. ")
    if any(each["stripes"] > 1 for port in report["schedule"]["ports"] for each in port["streams"]):
        note += "1/n, 2/n: one stream over n ports, each of which has every n-th of its bursts. "
    return table(heads, rows) + (
        f'<p class="about">{note}Lasts: how long a full queue does, at the stream\'s own rate.'
        "</p>")


def _simulated(report: Report) -> dict[tuple[int, str], Mapping[str, Any]]:
    """What was seen of each stream, by port and name."""
    simulation = report["simulation"]
    return {(each["port"], each["name"]): each
            for each in (simulation["memory"]["streams"] if simulation else ())}


def _level(stream: Mapping[str, Any],
           found: Mapping[str, Any] | None) -> tuple[str, str]:
    """What is proven of a queue's level, and what was simulated."""
    if not stream["rate"]:
        return "", ""
    reads, proven = stream["direction"] == "read", stream["level"]
    planned = "not known"
    if proven:
        planned = f"&ge; {number(proven[0])}" if reads else f"&le; {number(proven[1])}"
    if found is None:
        return planned, '<span class="unmeasured">not measured</span>'
    seen = f"{number(found['least'])} to {number(found['greatest'])}"
    kept = not proven or (found["least"] >= proven[0] if reads
                          else found["greatest"] <= proven[1])
    return planned, seen if kept else f'<span class="bad">{seen}</span>'


def _levels(report: Report) -> Iterator[str]:
    """The levels on an axis of time."""
    simulation = report["simulation"]
    if not any(each["samples"] for each in _simulated(report).values()):
        return
    found = simulation["memory"]
    yield "<h3>Levels of the queues on the axis of time</h3>"
    yield (f'<p class="about">As simulated from cycle {number(found["sampled_from"])} on, when '
           "a frame of every network was done: words that are there for the engine, or that wait "
           f"for the memory; every {number(found['sample_cycles'])} cycles, of these the least of "
           "what is read, the greatest of what is written. Dashed: the bound that is proven.</p>")
    yield f'<div class="tall">{charts.levels(report)}</div>'


def _megabytes(report: Report, words_per_cycle: float) -> str:
    return escaped(number(1e3 * gbps(report, words_per_cycle)))


def _proof(schedule: Mapping[str, Any]) -> Iterator[str]:
    """The memory for which it holds, and each bound."""
    least, most = map(number, schedule["latency_cycles"])
    refresh, interval = map(number, schedule["refresh_cycles"])
    moving = schedule["ports"][0]["words_per_cycle"]
    cyclic = schedule["policy"] == "cyclic"
    yield f"<h3>{'What is proven, and for which memory' if cyclic else 'The memory'}</h3>"
    yield (f"<p>Each port answers its requests in their order, the first word {least} to {most} "
           f"cycles after the request. Then a word moves in {moving:.1%} of the cycles, none of "
           f"the {refresh} of a refresh, which begins every {interval} cycles, nor of the "
           f"{number(schedule['turnaround_cycles'])} between reads and writes.</p>")
    if cyclic:
        yield (f"<details><summary>{number(len(schedule['proven']))} bounds, each with its "
               "figures</summary><ul>")
        yield from (f"<li>{escaped(each)}</li>" for each in schedule["proven"])
        yield "</ul></details>"
