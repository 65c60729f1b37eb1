"""report.html: report.json for people, in one file that needs nothing else."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from . import charts
from .drawing import DEEP, pipeline, short_operation
from .layout import PLUMBING
from .markup import card, escaped, named, table, table_row
from .memory import memory
from .numbers import KINDS, TIMES, number, ratio, share


__all__ = ["page"]


STYLE = pathlib.Path(__file__).with_name("style.css")
UNMEASURED = '<span class="unmeasured">not measured</span>'
FIGURES = {"interval_cycles": "interval, cycles", "latency_cycles": "first-frame latency, cycles",
           "longest_latency_cycles": "latency of any frame at most, cycles",
           "mac_efficiency": "multipliers at work", "clock_mhz": "clock, MHz", **KINDS}

Report = Mapping[str, Any]


def page(report: Report) -> str:
    """The whole page.

    Parameters
    ----------
    report : mapping
        As in report.json: no figure has another source.

    Raises
    ------
    BadInput
        If the charts cannot be drawn.
    """
    networks = report["networks"]
    title = f"{', '.join(networks)} on {report['board']}"
    sections = [
        _head(report, title), _warnings(report), _summary(report), _resources(report),
        _partition(report), memory(report), _comparison(report),
        *(_network(name, row, n, report) for n, (name, row) in enumerate(networks.items())),
        _reproduction(report)]
    return "\n".join([
        "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escaped(title)}</title>", f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>",
        "</head>", "<body><main>", *sections, "</main></body>", "</html>", ""])


def _kinds(report: Report) -> list[str]:
    return [kind for kind in KINDS if report["budget"][kind] or report["total"][kind]]


def _head(report: Report, title: str) -> str:
    planned = " It was only planned: there is no Verilog." if report.get("plan_only") else ""
    return (f"<h1>{escaped(title)}</h1>\n<p class=\"about\">{escaped(report['device'])}, clock "
            f"{number(report['clock_mhz'])} MHz <span class=\"assumed\">assumed: nothing was "
            f"placed and routed</span>, plan <code>{escaped(report['plan'][:16])}</code>."
            f"{planned}</p>")


def _warnings(report: Report) -> str:
    warnings = [*_alarms(report), *map(escaped, report["warnings"])]
    if not warnings:
        return ""
    return "\n".join(['<div class="warnings"><h2>Warnings</h2><ul>',
                      *(f"<li>{warning}</li>" for warning in warnings), "</ul></div>"])


def _alarms(report: Report) -> Iterator[str]:
    """What the measurements say that nobody wants to hear."""
    simulation = report["simulation"] or {"networks": {}}
    for name, row in simulation["networks"].items():
        if row["mismatches"]:
            yield (f'<span class="bad">{escaped(name)}: {number(row["mismatches"])} of '
                   f"{number(row['values'])} simulated values differ from the golden model."
                   "</span>")
    for row in report["comparison"]:
        exact = row["figure"] in ("interval_cycles", "latency_cycles")
        if exact and row["ratio"] not in (None, 1.0):
            yield (f'<span class="bad">{escaped(row["network"])}: the predicted '
                   f"{FIGURES[row['figure']]}, {number(row['predicted'])}, is not the simulated "
                   f"{number(row['simulated'])}.</span>")
        elif row["figure"] == "longest_latency_cycles" and (row["ratio"] or 1.0) < 1.0:
            yield (f'<span class="bad">{escaped(row["network"])}: a simulated frame took '
                   f"{number(row['simulated'])} cycles, more than the {number(row['predicted'])} "
                   "that are predicted at most.</span>")
    waited = simulation["memory"]["underruns"] if simulation["networks"] else 0
    if waited and report["schedule"] and report["schedule"]["policy"] == "cyclic":
        yield (f'<span class="bad">Engines waited for the memory in {number(waited)} simulated '
               "cycles, and it is proven for them to wait in none.</span>")


def _summary(report: Report) -> str:
    rows = []
    for n, (name, row) in enumerate(report["networks"].items()):
        operators = {stage["name"]: stage["op"] for stage in row["stages"]}
        rows.append(table_row([
            named(name, n), number(row["interval_cycles"]), number(row["frames_per_second"]),
            number(row["latency_cycles"]), number(row["latency_ms"]),
            number(row["macs"] / 1e6), number(row["multipliers"]),
            f"{row['mac_efficiency']:.0%}", _target(row),
            f"{escaped(row['bottleneck'])} ({operators[row['bottleneck']]})"]))
    heads = ["network", "interval<br><small>cycles</small>", "frames/s",
             "latency<br><small>cycles</small>", "latency<br><small>ms</small>",
             "MACs<br><small>millions a frame</small>",
             "multipliers", "at work", "target", "bottleneck"]
    return card("Networks", table(heads, rows, kind="full"), (
        '<p class="about">Interval: cycles between the last outputs of two frames that follow one '
        "another. Latency: from a frame's first input into an empty engine to its last output. At "
        f"work: MACs / (multipliers {TIMES} interval). All of it is predicted; what was measured "
        "stands below.</p>"))


def _target(row: Mapping[str, Any]) -> str:
    wanted = [f"{number(row[key])} {unit}" for key, unit in (("target_fps", "fps"),
                                                             ("target_latency_ms", "ms"))
              if row[key] is not None]
    return ", ".join(wanted) or "none"


def _resources(report: Report) -> str:
    kinds = _kinds(report)
    rows = [table_row([named(name, n), *(number(row[kind]) for kind in kinds)])
            for n, (name, row) in enumerate(report["networks"].items())]
    if any(report["memory"].values()):
        rows.append(table_row(['<span class="dot memory"></span>memory side', *(
            number(report["memory"][kind]) for kind in kinds)]))
    for title, key in (("used", "total"), ("budget, after caps and headroom", "budget"),
                       ("device", "available")):
        rows.append(table_row([title, *(number(report[key][kind]) for kind in kinds)],
                              kind="total"))
    rows.append(table_row(["used of the budget", *(
        share(report["total"][kind], report["budget"][kind]) for kind in kinds)]))
    return card("Resources", charts.resources(report),
                 '<p class="about">The upright mark is the budget; behind it is what caps and '
                 "headroom forbid.</p>",
                 table(["network", *(KINDS[kind] for kind in kinds)], rows))


def _partition(report: Report) -> str:
    """What keeps each network from being faster; of several, how the device was split."""
    networks, optimizer, metrics = report["networks"], report["optimizer"], report["metrics"]
    several = len(networks) > 1
    heads = ["network", *(["weight", "T alone", "T shared", "NP", "NTT"] if several else []),
             "what binds"]
    rows = []
    for n, (name, row) in enumerate(networks.items()):
        figures = [number(row["weight"]), number(row["alone_cycles"]),
                   number(row["interval_cycles"]), f"{1 / row['ntt']:.3f}", f"{row['ntt']:.3f}"]
        rows.append(f'{table_row([named(name, n), *(figures if several else [])])[:-5]}'
                    f'<td class="text wide">{_bound(row)}</td></tr>')
    heads[-1] = '<span style="float:left">what binds</span>'
    gap = ("proven best of the plans that were compared" if not optimizer["gap"]
           else f"proven within {optimizer['gap']:.1%} of the best")
    if not several:
        gap = "the fastest that was found within the budget" if (
            optimizer["objective"] != "resources") else gap
    parts = [table(heads, rows, kind="full"),
             f"<p>Objective {escaped(optimizer['objective'])}: {gap}, in "
             f"{optimizer['seconds']:.1f} s.</p>"]
    if several:
        parts += [_metrics(metrics)]
    if any(row["front"] for row in networks.values()):
        parts += ["<h3>Fronts, and what was chosen</h3>", charts.fronts(report),
                  '<p class="about">Each step is a folding of the whole network: its interval, and '
                  "the largest share of the budget that it takes of any one kind of resource. The "
                  "dashed line is the budget. Diamonds are what was chosen, queues included, with "
                  "its interval; steps are a tenth apart, and it can lie between them.</p>"]
    return card("How the device is shared" if several else "What binds", *parts)


def _metrics(metrics: Mapping[str, Any]) -> str:
    rows = [("STP", "sum of NP<sub>i</sub>, where NP<sub>i</sub> = T<sub>alone</sub> / "
             "T<sub>shared</sub>", f"{metrics['stp']:.3f}"),
            ("STP in frames", "sum of frames/s", number(metrics["stp_fps"])),
            ("ANTT", "mean of NTT<sub>i</sub> = 1 / NP<sub>i</sub>", f"{metrics['antt']:.3f}"),
            ("fairness", "least of NP<sub>i</sub> / NP<sub>j</sub>",
             f"{metrics['fairness']:.3f}"),
            ("fairness by weight", "the same of PP<sub>i</sub> = NP<sub>i</sub> / "
             "(weight<sub>i</sub> / sum of weights)", f"{metrics['fairness_weighted']:.3f}"),
            ("violation rate", "share of frames later than their target",
             f"{metrics['violation_rate']:.1%}")]
    return table(["metric", "formula", "value"], [
        table_row([name, formula, value], left=2) for name, formula, value in rows], left=2)


def _bound(row: Mapping[str, Any]) -> str:
    bound = row["bound"]
    if bound["faster"] is None:
        return "Its stages: none of them has a faster folding."
    interval = number(bound["faster"]["interval_cycles"])
    if not bound["short"]:
        return (f"Nothing of the device alone: foldings of {interval} cycles were not needed, or "
                "their queues do not fit.")
    missing = ", ".join(
        f"{number(bound['faster'][kind])} {KINDS[kind]} where {number(bound['left'][kind])} are "
        f"left ({number(gap)} too many)" for kind, gap in bound["short"].items())
    return (f"<b>{', '.join(KINDS[kind] for kind in bound['short'])}</b>: the next faster foldings "
            f"that were found ({interval} cycles) need {missing}.")


def _comparison(report: Report) -> str:
    rows = []
    for each in report["comparison"]:
        rows.append(table_row([
            escaped(each["network"] or "all"), FIGURES[each["figure"]], _predicted(each),
            _measured(each, "simulated", report), _measured(each, "synthesised", report),
            "" if each["ratio"] is None else ratio(each["ratio"])], left=2))
    heads = ["network", "figure", "predicted", "simulated", "synthesised",
             "predicted / measured"]
    return card("Predicted and measured", table(heads, rows, left=2),
                 *(f"<p class=\"about\">{note}</p>" for note in _notes(report)))


def _figure(figure: str, value: float) -> str:
    return f"{value:.1%}" if figure == "mac_efficiency" else number(value)


def _predicted(row: Mapping[str, Any]) -> str:
    mark = ' <span class="assumed">assumed</span>' if row["figure"] == "clock_mhz" else ""
    return _figure(row["figure"], row["predicted"]) + mark


def _measured(row: Mapping[str, Any], how: str, report: Report) -> str:
    """A measured figure; nothing where it is not measured in this way at all."""
    if (how == "simulated") != (row["network"] is not None):
        return ""
    value = row[how]
    if value is not None:
        return _figure(row["figure"], value)
    simulated = how == "simulated" and report["simulation"]
    return f"{UNMEASURED} (one frame)" if simulated else UNMEASURED


def _notes(report: Report) -> Iterator[str]:
    simulation, synthesis = report["simulation"], report["synthesis"]
    if simulation is None:
        yield "Not simulated: <code>fcnnx simulate</code> proves every value and every cycle."
    else:
        checked = "; ".join(
            f"{escaped(name)}: {number(row['frames'])} frames, {number(row['values'])} values, "
            f"{_mismatches(row['mismatches'])}" for name, row in simulation["networks"].items())
        yield (f"Simulated in {escaped(simulation['simulator'])}, {number(simulation['cycles'])} "
               f"cycles in {simulation['seconds']:.1f} s. {checked}.")
        if simulation.get("stalls") is not None:
            seed = escaped(simulation["stalls"])
            yield (f"The memory's jitter had the seed {seed}." if report["schedule"] else
                   f"Both ends stalled at random (seed {seed}): these cycles are not those that "
                   "were predicted.")
    if synthesis is None:
        yield "Not synthesised: <code>fcnnx synth</code> counts what the Verilog takes."
    else:
        yield (f"Synthesised with {escaped(synthesis['tool'])} for "
               f"{escaped(synthesis['target'])} in "
               f"{synthesis['seconds']:.1f} s, each distinct module once.")


def _mismatches(count: int) -> str:
    if count:
        return f'<span class="bad">{number(count)} differ from the golden model</span>'
    return '<span class="good">all equal to the golden model</span>'


def _network(name: str, row: Mapping[str, Any], n: int, report: Report) -> str:
    return card(
        named(name, n),
        f"<h3>Pipeline</h3>\n{pipeline(row)}",
        '<p class="about">A box is a stage, with its cycles a frame and its multipliers; its bar '
        f"is the part of the interval in which it works. On the streams: values of a beat {TIMES} "
        f"bits, and the beats that the queue holds; those of {DEEP} beats and more are marked."
        "</p>",
        "<h3>Stages</h3>", _stages(row, _kinds(report)),
        "<h3>Ports</h3>", _ports(row))


def _stages(row: Mapping[str, Any], kinds: list[str]) -> str:
    buffers: dict[str, int] = {}
    for stream in row["streams"]:
        if stream["to_kind"] == "stage":
            buffers[stream["to"]] = buffers.get(stream["to"], 0) + (
                stream["buffer"] * stream["bits"])
    rows = []
    for stage in row["stages"]:
        kind = ("bottleneck" if stage["name"] == row["bottleneck"]
                else "plumbing" if stage["op"] in PLUMBING else "")
        busy = min(1.0, stage["interval_cycles"] / row["interval_cycles"])
        amounts = (stage["macs"], stage["multipliers"], *(stage[each] for each in kinds),
                   stage["memory_bits"], buffers.get(stage["name"], 0))
        rows.append(
            f'<tr class="{kind}"><td class="text name">{escaped(stage["name"])}</td>'
            f'<td class="text">{short_operation(stage["op"])}</td>'
            f'<td class="text wide">{_folding(stage["folding"])}</td>'
            f'<td class="bar"><i style="width:{busy * 100:.1f}%"></i>'
            f'<span>{number(stage["interval_cycles"])}</span></td>'
            f"<td>{stage['stall_share']:.0%}</td>"
            + "".join(f"<td>{number(amount) if amount else ''}</td>" for amount in amounts)
            + "</tr>")
    heads = ["stage", "operator", "folding", "interval", "waits", "MACs", "mult.",
             *(KINDS[kind] for kind in kinds), "weights<br><small>bits</small>",
             "window<br><small>bits</small>"]
    return table(heads, rows, left=3, kind="full stages")


def _folding(folding: Mapping[str, Any]) -> str:
    """The parameters that are not those of no folding at all."""
    words = []
    for name, value in folding.items():
        title = name.replace("_", " ")
        if isinstance(value, list):
            between = ", " if name == "places" else f" {TIMES} "
            words.append(f"{title} {between.join(map(number, value))}")
        elif value is True:
            words.append(title)
        elif isinstance(value, str):  # what requantizes: wide DSPs need no word
            words += [] if value == "wide" else [f"{title} {escaped(value)}"]
        elif value and (name, value) != ("pixels", 1):
            words.append(f"{title} {number(value)}")
    return ", ".join(words)


def _ports(row: Mapping[str, Any]) -> str:
    rows = [table_row([escaped(port["port"]), escaped(port["direction"]), escaped(port["tensor"]),
                  f" {TIMES} ".join(map(str, port["shape"])), ", ".join(map(str, port["axes"])),
                  f"{port['width']} {'signed' if port['signed'] else 'unsigned'}",
                  number(port["lanes"]), number(port["pixels"])], left=3)
            for port in row["ports"]]
    return table(["port", "direction", "tensor", "shape", "axes", "bits of a value", "lanes",
                   "pixels"], rows, left=3)


def _reproduction(report: Report) -> str:
    found = report.get("reproduction")
    if found is None:
        return ""
    commands = [found["command"], "fcnnx simulate DIR", "fcnnx synth DIR"]
    versions = ", ".join(f"{escaped(name)} {escaped(version)}"
                         for name, version in found["versions"].items())
    models = "".join(f"<dt>{escaped(name)}</dt><dd><code>{escaped(model['file'])}</code>, SHA-256 "
                     f"<code>{escaped(model['sha256'])}</code></dd>"
                     for name, model in found["models"].items())
    return card(
        "How to reproduce it", f"<pre>{escaped(chr(10).join(commands))}</pre>",
        f"<dl><dt>plan</dt><dd><code>{escaped(report['plan'])}</code></dd>{models}"
        f"<dt>versions</dt><dd>{versions}</dd></dl>",
        '<p class="about">DIR is the folder of this file. The same plan always gives the same '
        "Verilog, byte for byte. Every figure of this page is in <code>report.json</code>.</p>")
