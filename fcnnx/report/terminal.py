"""Tables for people."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fcnnx.doctor import Finding

from .numbers import KINDS, number


__all__ = ["show_boards", "show_findings", "show_models", "show_operators", "show_report",
           "show_simulation", "show_synthesis"]

WIDTH = 110  # where nobody knows how wide


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _table(*columns: str, left: int = 1) -> Table:
    """Columns of text on the left, of figures beside them."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k < left else "right",
                         overflow="fold" if k < left else "ellipsis", no_wrap=k >= left)
    return table


def show_report(report: Mapping[str, Any], folder: pathlib.Path, *, stages: bool = False) -> None:
    """A build: its networks, what they cost, and what to know of it."""
    console = _console()
    console.print(Text(f"{folder}: {', '.join(report['networks'])} on {report['board']} "
                       f"({report['device']}) at {number(report['clock_mhz'])} MHz, assumed",
                       style="bold"), soft_wrap=True)
    kinds = [kind for kind in KINDS if report["budget"][kind] or report["total"][kind]]
    table = _table("network", "interval", "latency", "frames/s", "NTT", "multipliers",
                   *(KINDS[kind] for kind in kinds))
    for name, row in report["networks"].items():
        table.add_row(name, *(number(row[key]) for key in (
            "interval_cycles", "latency_cycles", "frames_per_second", "ntt", "multipliers",
            *kinds)))
    blank = [""] * 5
    if report["schedule"]:
        table.add_row("memory side", *blank, *(number(report["memory"][kind]) for kind in kinds))
    table.add_section()
    table.add_row("total", *blank, *(number(report["total"][kind]) for kind in kinds))
    table.add_row("budget", *blank, *(number(report["budget"][kind]) for kind in kinds))
    table.add_row("used", *blank, *(_share(report, kind) for kind in kinds))
    console.print(table)
    for name, row in report["networks"].items():
        operators = {stage["name"]: stage["op"] for stage in row["stages"]}
        efficiency = row["macs"] / (row["multipliers"] * row["interval_cycles"])
        console.print(Text(
            f"{name}: {number(row['macs'] / 1e6)} million multiply-accumulates a frame, "
            f"multipliers at work {efficiency:.0%}; its bottleneck is {row['bottleneck']} "
            f"({operators[row['bottleneck']]})."), soft_wrap=True)
    if report["schedule"]:
        console.print(_memory(report), soft_wrap=True)
    if len(report["networks"]) > 1:
        metrics = report["metrics"]
        console.print(f"STP {metrics['stp']:.3f}, ANTT {metrics['antt']:.3f}, fairness "
                      f"{metrics['fairness']:.3f}, {number(metrics['stp_fps'])} frames/s in all.",
                      soft_wrap=True)
    optimizer = report["optimizer"]
    gap = "proven best of the plans that were compared" if not optimizer["gap"] else \
        f"proven within {optimizer['gap']:.1%} of the best"
    console.print(f"Planned for {optimizer['objective']} in {optimizer['seconds']:.1f} s, {gap}. "
                  "Costs are predictions; nothing was synthesised.", soft_wrap=True)
    if stages:
        _show_stages(console, report)
    for warning in report["warnings"]:
        console.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)


def _share(report: Mapping[str, Any], kind: str) -> str:
    budget = report["budget"][kind]
    return f"{report['total'][kind] / budget:.0%}" if budget else ""


def _memory(report: Mapping[str, Any]) -> str:
    """What crosses the memory, of what it gives, and how."""
    schedule = report["schedule"]
    ports = schedule["ports"]
    used = (f"Memory: {number(report['total']['dram_gbps'])} of "
            f"{number(report['budget']['dram_gbps'])} GB/s, {schedule['utilisation']:.1%} of what "
            f"refreshes leave, through {len(ports)} port{'s' if len(ports) > 1 else ''} of "
            f"{8 * schedule['word_bytes']} bits")
    if schedule["policy"] == "round-robin":
        return f"{used}, served in turn; nothing is proven."
    slots = max(len(port["table"]) for port in ports)
    return (f"{used}; tables of {number(slots)} slots or fewer, walked in "
            f"{number(schedule['period_cycles'])} cycles at most. No queue runs dry, or full: "
            "proven.")


def _show_stages(console: Console, report: Mapping[str, Any]) -> None:
    kinds = [kind for kind in KINDS if report["total"][kind]]
    for name, row in report["networks"].items():
        table = _table(f"stages of {name}", "operator", "interval", "multipliers",
                       *(KINDS[kind] for kind in kinds), left=2)
        slowest = max(stage["interval_cycles"] for stage in row["stages"])
        for stage in row["stages"]:
            table.add_row(stage["name"], stage["op"],
                          *(number(stage[key]) for key in ("interval_cycles", "multipliers",
                                                            *kinds)),
                          style="bold" if stage["interval_cycles"] == slowest else "")
        console.print()
        console.print(table)
    console.print()


def show_simulation(simulation: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """A simulation beside what was predicted.

    Parameters
    ----------
    simulation, report : mappings
        As in simulation.json and report.json.
    """
    console = _console()
    table = _table("network", "frames", "values", "mismatches", "interval", "predicted", "latency",
                   "predicted", "multipliers at work")
    for name, row in simulation["networks"].items():
        predicted = report["networks"][name]
        measured = row["interval_cycles"]
        table.add_row(name, number(row["frames"]), number(row["values"]),
                      Text(number(row["mismatches"]), style="red" if row["mismatches"] else ""),
                      "one frame" if measured is None else number(measured),
                      number(predicted["interval_cycles"]),
                      number(row["latency_cycles"]), number(predicted["latency_cycles"]),
                      "" if measured is None else f"{row['mac_efficiency']:.0%}")
    console.print(table)
    if report["schedule"]:
        memory = simulation["memory"]
        console.print(
            f"Memory: {number(memory['bytes'] / 1e6)} million bytes, {memory['utilisation']:.1%} "
            f"of what refreshes leave (planned {report['schedule']['utilisation']:.1%}, in steady "
            f"state); engines waited for it in {number(memory['underruns'])} cycles.",
            soft_wrap=True)
    console.print(f"{number(simulation['cycles'])} cycles in {simulation['simulator']}, "
                  f"{simulation['seconds']:.1f} s.")


def show_synthesis(synthesis: Mapping[str, Any]) -> None:
    """What a build takes, counted, beside what was predicted.

    Parameters
    ----------
    synthesis : mapping
        As in synthesis.json.
    """
    console = _console()
    kinds = [kind for kind in KINDS if synthesis[kind] or synthesis["predicted"][kind]]
    table = _table(synthesis["target"], *(KINDS[kind] for kind in kinds))
    for name, row in (("synthesised", synthesis), ("predicted", synthesis["predicted"])):
        table.add_row(name, *(number(row[kind]) for kind in kinds))
    table.add_row("predicted / synthesised", *(
        f"{synthesis['predicted'][kind] / synthesis[kind]:.2f}" if synthesis[kind] else ""
        for kind in kinds))
    console.print(table)
    paths = any(row["longest_path"] is not None for row in synthesis["modules"].values())
    heads = [*(KINDS[kind] for kind in kinds), *(["longest path"] if paths else [])]
    table = _table("module", "instances", *heads)
    for name, row in synthesis["modules"].items():
        amounts = [number(row[kind]) for kind in kinds]
        table.add_row(name, number(row["instances"]), *amounts,
                      *([number(row["longest_path"] or 0)] if paths else []))
    console.print(table)
    if route := synthesis["route"]:
        console.print(f"Placed and routed with {route['tool']}: {synthesis['fmax_mhz']} MHz at "
                      f"most; the slowest path ends at {route['path'][-1]['signal']}.",
                      soft_wrap=True)
    console.print(f"{synthesis['tool']}, {synthesis['seconds']:.1f} s.")


def show_models(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Models that can be built."""
    console = _console()
    table = _table("network", "model", "in floats", "stages", "multiply-accumulates", left=3)
    for name, row in rows.items():
        table.add_row(name, row["model"], "yes" if row["float"] else "no", number(row["stages"]),
                      number(row["macs"]))
    console.print(table)
    for name, row in rows.items():
        for warning in row["warnings"]:
            console.print(Text(f"warning: {name}: {warning}", style="yellow"), soft_wrap=True)


def show_boards(rows: Iterable[Mapping[str, Any]]) -> None:
    """Boards with what they have."""
    table = _table("board", "device", *KINDS.values(), "GB/s", "MHz", "--io", left=2)
    for row in rows:
        table.add_row(row["board"], row["device"], *(number(row[kind]) for kind in KINDS),
                      number(row["dram_gbps"]), number(row["clock_mhz"]), row["io"])
    _console().print(table)


def show_operators(rows: Mapping[str, str]) -> None:
    """ONNX operators with their limits."""
    table = _table("operator", "limits", left=2)
    for name, limits in rows.items():
        table.add_row(name, limits)
    _console().print(table)


def show_findings(findings: Iterable[Finding]) -> None:
    """What this machine has."""
    table = _table("what", "", "", left=3)
    for finding in findings:
        state = "found" if finding.found else "MISSING" if finding.needed else "not there"
        table.add_row(finding.what, state, Text(finding.detail))
    _console().print(table)
