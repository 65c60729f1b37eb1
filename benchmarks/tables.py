"""RESULTS.md from what the cases gave."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import contention
import light
import paths
from clock import GOAL_MHZ
from costs import difference, summary


__all__ = ["write_results"]

Figures = Mapping[str, Any]
Kept = Mapping[str, Figures]

HEADER = """# Results

Written by `make bench`, which measures what it has not measured of these sources yet. Cycles, DSPs,
block RAMs, LUTs, clocks and values are exact and the same on any machine; seconds are those of
{machine}, where other work may have run at the same time.
{stale}
"""

# Measured on boards in MLPerf Tiny v1.1 by fpgaConvNet: cycles by its own folding, and of one
# inference with software and DMA.
PEER = {"resnet8_zc706": (18496, 27542), "resnet8_zedboard": (32768, 58813),
        "mobilenet_zc706": (36864, 144062), "mobilenet_zedboard": (294912, 1053011),
        "dscnn_zedboard": (32000, 46310)}


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; all but the first column are figures."""
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(_text, row)) + " |" for row in rows]) + "\n"


def section(title: str, about: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A heading, what is to be known, and a table; nothing without rows."""
    return f"## {title}\n\n{about}\n\n{table(heads, rows)}" if rows else ""


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _with(kept: Kept, *parts: str) -> Iterable[tuple[str, list[Figures]]]:
    """The cases that have all these parts."""
    return [(name, [record[part] for part in parts]) for name, record in kept.items()
            if all(part in record for part in parts)]


def exactness(kept: Kept) -> str:
    """Values and cycles, predicted and simulated."""
    rows = []
    for name, (build, simulation) in _with(kept, "build", "simulation"):
        for network, row in simulation["networks"].items():
            said = build["networks"][network]
            rows.append([name, network, row["values"], row["mismatches"],
                         row["mismatches_stalled"], said["interval_cycles"],
                         row["interval_cycles"], said["latency_cycles"], row["latency_cycles"]])
    return section(
        "Exactness", "Eight frames back to back. Mismatches are values in which simulated hardware "
        "and golden model differ, without stalls and with random stalls at both ends. Cycles are "
        "those of `report.json`, before any simulator ran, and those of the simulation.",
        ["case", "network", "values", "mismatches", "stalled", "interval predicted", "simulated",
         "latency predicted", "simulated"], rows)


def cost(kept: Kept) -> str:
    """What each accelerator takes, and how long the tool does."""
    rows = []
    for name, (build, simulation) in _with(kept, "build", "simulation"):
        total = build["total"]
        efficiency = ", ".join(f"{100 * row['mac_efficiency']:.0f} %"
                               for row in simulation["networks"].values())
        synthesis = kept[name].get("synthesis")
        rows.append([name, build["board"], total["dsp"], total["bram18"], total["lut"], efficiency,
                     build["seconds"], *simulation["seconds"],
                     synthesis["seconds"] if synthesis else ""])
    return section(
        "Cost and tool speed", "Predicted resources, multipliers at work, and seconds of `build`, "
        "of `simulate` with eight frames (with the C++ build), of the same again, and of `synth`.",
        ["case", "board", "DSP", "BRAM18", "LUT", "multipliers at work", "build", "simulate",
         "again", "synth"], rows)


def speed(kept: Kept) -> str:
    """The rows of the strongest published tool, within its DSPs and LUTs."""
    rows = []
    for name, (build, simulation) in _with(kept, "build", "simulation"):
        if not build["bars"]:
            continue
        (said,), (found,) = build["networks"].values(), simulation["networks"].values()
        synthesis = kept[name].get("synthesis", {}).get("synthesis")
        counted = [f"{synthesis[key]:,} of {cap:,} (predicted {build['total'][key]:,})"
                   for key, cap in zip(("dsp", "lut"), build["caps"], strict=True)
                   ] if synthesis else ["not measured"] * 2
        interval, latency = found["interval_cycles"], found["latency_cycles"]
        floor = said["macs"] / (2 * build["caps"][0])
        rows.append([name, f"{interval:,} ({build['bars'][0]:,})",
                     f"{latency:,} ({build['bars'][1]:,})", f"{interval / floor:.2f}", *counted,
                     *PEER[name]])
    return section(
        "Speed within the published DSPs and LUTs", "Simulated cycles, the bar in brackets. The "
        "floor is MACs / (2 x DSPs), every DSP making two products every cycle; multipliers of "
        "LUTs go below it. DSPs and LUTs are Yosys' counts. The last two columns are fpgaConvNet's "
        "(MLPerf Tiny v1.1): the interval of its folding, and the measured cycles of one inference "
        "on the board, software included.",
        ["row", "interval", "first-frame latency", "interval / floor", "DSP", "LUT",
         "fpgaConvNet interval", "its inference"], rows)


def costs(kept: Kept) -> str:
    """Predictions beside counts, of every build that was synthesised."""
    rows, pairs = [], []
    for name, (build, found) in _with(kept, "build", "synthesis"):
        said, counted = build["total"], found["synthesis"]
        pairs.append((said, counted))
        rows.append([name, build["board"],
                     *(f"{said[kind]:,} / {counted[kind]:,}" for kind in ("dsp", "bram18")),
                     *(cell for kind in ("lut", "ff") for cell in (
                         f"{said[kind]:,} / {counted[kind]:,}",
                         f"{100 * difference(said, counted, kind):+.1f} %"))])
    return section(
        "Costs, predicted and counted", f"Predicted / counted by Yosys, of {len(rows)} builds. "
        "None of them was used to calibrate the formulas: single components were "
        f"(`benchmarks/calibration.json`). {summary(pairs)}",
        ["build", "board", "DSP", "BRAM18", "LUT", "off", "FF", "off"], rows)


def clock(kept: Kept) -> str:
    """Designs placed and routed."""
    rows = []
    for name, (found,) in _with(kept, "synthesis"):
        if route := found["synthesis"]["route"]:
            first, last = route["path"][0]["signal"], route["path"][-1]["signal"]
            routing = sum(step["delay_ns"] for step in route["path"] if step["kind"] == "routing")
            total = sum(step["delay_ns"] for step in route["path"])
            rows.append([name, found["synthesis"]["target"],
                         f"{found['synthesis']['fmax_mhz']} ({GOAL_MHZ})",
                         *(route["used"].get(cell, 0) for cell in (
                             "TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")),
                         f"`{first}` to `{last}`", f"{total:.1f} ({routing:.1f})"])
    return section(
        "Clock", "Placed and routed by nextpnr-ecp5, speed grade 6, ports on any pins, one seed; "
        "the bar in brackets. Of the slowest path, nanoseconds, and in brackets those in wires.",
        ["design", "device", "MHz", "LUTs and carries", "FF", "MULT18X18D", "DP16KD",
         "slowest path", "ns"], rows)


def longest_paths(kept: Kept) -> str:
    """Cells between two registers in every distinct module."""
    rows, lines = [], []
    for name, (found,) in _with(kept, "synthesis"):
        modules = found["synthesis"]["modules"]
        lengths = paths.lengths(modules)
        if not lengths:
            continue
        middle = paths.median(modules)
        over = [module for module, length in lengths.items() if length > middle * 4 / 3]
        rows.append([name, len(lengths), middle, f"{middle * 4 / 3:.1f}", max(lengths.values()),
                     ", ".join(f"{module} {lengths[module]}" for module in over) or "none"])
        lines.append(f"- {name}: " + ", ".join(
            f"{f'**{module}**' if module in over else module} {length}"
            for module, length in sorted(lengths.items(), key=lambda item: -item[1])))
    found = section(
        "Longest paths", "Cells between two registers, of every distinct module (`synth_ecp5`, "
        "`ltp`). None should be more than a third longer than the median of those that multiply.",
        ["design", "modules", "median of multiplying", "a third more", "longest", "beyond it"],
        rows)
    return "\n".join([found, *lines]) + "\n" if rows else ""


def shared(kept: Kept) -> str:
    """Several networks over one memory."""
    rows = []
    for name, (build, simulation) in _with(kept, "build", "simulation"):
        if "memory" not in simulation:
            continue
        networks, found = build["networks"], simulation["networks"]
        work = sum(row["macs"] / found[network]["interval_cycles"]
                   for network, row in networks.items())
        multipliers = sum(row["multipliers"] for row in networks.values())
        metrics, memory = build["metrics"], simulation["memory"]
        rows.append([name, build["board"], len(networks), f"{work / multipliers:.3f}",
                     f"{metrics['stp']:.3f}", f"{metrics['antt']:.2f}",
                     f"{metrics['fairness']:.3f}", memory["bytes"],
                     f"{100 * memory['utilisation']:.1f} %", simulation["underruns"],
                     "yes" if all(row["same_cycles"] for row in found.values()) else "no"])
    return section(
        "Networks over one memory", "Frames, and weights that are streamed, cross a DRAM with "
        "jitter and refresh, served by tables; simulated with two seeds of the jitter, of which "
        "the second is `stalled` above. Efficiency is MACs per cycle of all networks by all "
        "multipliers that are instanced.",
        ["set", "board", "networks", "multiplier efficiency", "STP", "ANTT", "fairness", "bytes",
         "of the bandwidth", "underruns", "same cycles with both seeds"], rows)


def isolated(kept: Kept) -> str:
    """What networks suffer from each other, and from faults."""
    rows, lines = [], []
    for _, (build, found) in _with(kept, "build", "isolation"):
        networks = [*build["networks"]]
        for row in found["rows"]:
            victims = [row["network"]] if row["network"] else networks
            others = "; ".join(f"{other} {before:,} / {after:,}"
                               for other, (before, after) in row["intervals"].items())
            after = [row["after"][victim] for victim in victims]
            rows.append([row["what"], row["network"] or "all",
                         ", ".join(row["flags"]) or "none", row["expected"] or "none",
                         others or "not apart", row["starved"], row["mismatches"],
                         ", ".join(str(frames) for frames, _ in after),
                         sum(wrong for _, wrong in after), row["violations"]])
        lines.append(f"`{build['command']}`")
    return section(
        "Isolation and faults", "Each row is a run of all networks over one memory with jitter, "
        "the same in each cycle of each port. Of the networks that it does not happen to: the "
        "longest interval at the engine's outputs, undisturbed / in this run, cycles that they "
        "waited for the memory, values that are wrong. Of those that it happens to: the error "
        "flags that are seen and that should be, frames after the disturbance, or the start that "
        "follows it, and wrong values in them. Violations are of the AXI protocol, on all ports. "
        f"The build: {', '.join(lines)}.",
        ["what happens", "to", "flags", "expected", "others' intervals", "starved", "wrong",
         "frames after", "wrong", "violations"], rows)


def _per_network(values: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())


def contended(kept: Kept) -> str:
    """The joint plan against networks that were planned as if alone."""
    rows = []
    for name, record in kept.items():
        for point in contention.points(record):
            joint, unaware = point["joint"], point["unaware"]
            rows.append([
                name, f"{joint.bandwidth:g}", f"{joint.throughput:.3f}",
                f"{unaware.throughput:.3f}", f"{joint.throughput / unaware.throughput:.2f}",
                f"{joint.fairness:.2f}", f"{unaware.fairness:.2f}",
                f"{100 * joint.utilisation:.1f} %", ", ".join(joint.held) or "none",
                f"{100 * unaware.utilisation:.1f} %",
                "yes" if joint.exact and unaware.exact else "no",
                "yes" if joint.as_predicted else "no", _per_network(joint.progress, ".2f"),
                _per_network(unaware.progress, ".2f")])
    return section(
        "Contention", "Two accelerators of the same device at each bandwidth: the joint plan, "
        "served by tables (first), and each network planned as if the memory were its own, served "
        "in turn (second), both simulated with the memory's jitter, frames back to back. "
        "Topologies of the onnx package, made smaller so that they are simulated within minutes: "
        f"{_scales()}. Bandwidth is capped below the board's{_caps()}. Progress is the interval "
        "alone on all that the set has by the mean interval here; weighted throughput its mean, as "
        "all weights are equal; fairness the least by the greatest. Utilisation is of the words "
        "that the memory gives, refreshes taken off; held apart are networks whose frames the "
        "joint plan has farther apart than their stages ask for, as the memory gives no more. "
        "Exact: no value differs from the golden model's. To the cycle: the joint plan's intervals "
        "are those predicted, and no engine waited for the memory.",
        ["set", "GB/s", "throughput", "unaware", "ratio", "fairness", "unaware", "utilisation",
         "held apart", "unaware", "exact", "to the cycle", "progress", "unaware"], rows)


def _caps() -> str:
    """What sets have of the device's resources where it is not all of them."""
    parts = {case.name: ", ".join(f"{most} {kind}" for kind, most in case.caps.items())
             for case in contention.contention() if case.caps}
    return "".join(f"; {name} has at most {part}" for name, part in parts.items())


def _scales() -> str:
    used = {model.removesuffix("_qdq.onnx") for case in contention.contention()
            for model in case.models}
    return ", ".join(f"{base} of {side} pixels a side, channels divided by {narrower}"
                     for name, (base, side, narrower) in light.SCALED.items() if name in used)


def told_apart(kept: Kept) -> str:
    """Points with parts of the mechanism switched off."""
    rows = []
    for name, record in kept.items():
        for point in contention.points(record):
            if point.keys() - contention.POLICIES.keys():
                reference = point["unaware"].throughput
                rows += [[name, f"{each.bandwidth:g}", policy, f"{each.throughput:.3f}",
                          f"{each.throughput / reference:.2f}",
                          _per_network(each.progress, ".2f"),
                          _per_network({network: row["multipliers"] for network, row
                                        in each.built["networks"].items()}, "d"),
                          _per_network({network: row["bram18"] for network, row
                                        in each.built["networks"].items()}, "d"),
                          _per_network({network: row["words"] for network, row
                                        in each.built["networks"].items()}, "d")]
                         for policy, each in sorted(point.items())]
    return section(
        "Contention, told apart", "The joint plan with one part of it switched off. Without "
        "*order* ports serve in turn, frames still come at their pace; without *pace* engines run "
        "as they can, ports still serve by their tables; without *placement* the plan is made anew "
        "with weights streamed where the unaware plan streams them; without *multipliers* it is "
        "made anew with no more of them for any stage than the unaware plan gives it. Beside it "
        "what each network has: multipliers, block RAMs, and words that a frame moves, which "
        "placement decides.",
        ["set", "GB/s", "what", "throughput", "by the unaware", "progress", "multipliers",
         "BRAM18", "words a frame"], rows)


def sight(kept: Kept) -> str:
    """The verdicts on labelled patches."""
    return "\n".join(
        "## What the hardware sees\n\nR-Net on the 200 labelled patches of scikit-image's "
        f"`lfw_subset`, from the simulated hardware ({found['mismatches']} mismatches with the "
        f"golden model): {found['agree']} of {found['patches']} verdicts are those of onnxruntime "
        f"on the float model. Right are {found['right']}; of the float model's, "
        f"{found['float_right']}.\n" for _, (found,) in _with(kept, "verdicts"))


def planned(kept: Kept) -> str:
    """How long large networks take to be planned, and how near the best the plan is."""
    rows = []
    for name, (found,) in _with(kept, "planning"):
        networks = found["networks"].values()
        rows.append([name, found["board"], len(networks), found["topology"],
                     f"1 / {found['narrower']}", sum(row["macs"] for row in networks),
                     found["seconds"], found["optimizer"]["seconds"],
                     f"{100 * found['optimizer']['gap']:.2f} %",
                     ", ".join(f"{row['interval_cycles']:,}" for row in networks)])
    refused = "".join(
        f" {name}, {found['count']} networks of {found['topology']} of 1 / {found['narrower']} of "
        f"the width, is refused after {found['seconds']} seconds: {' '.join(found['said'])}"
        for name, (found,) in _with(kept, "refusal"))
    return section(
        "Planning large networks", "Seconds of `fcnnx build --plan-only` from models of floating "
        "point, import and quantisation and the report among them; and of planning: all foldings, "
        "queues and the memory's schedule. The gap is proven: no combination of the networks' "
        f"fronts is better by more.{refused}",
        ["case", "board", "networks", "topology", "width", "MACs", "seconds", "planning", "gap",
         "intervals"], rows)


def commands(kept: Kept) -> str:
    """How each part was measured, and on which tree."""
    lines = [f"- {name}, {part}: `{figures['command']}`, on {figures['tree']}"
             for name, record in kept.items() for part, figures in record.items()]
    return ("## Commands\n\n`PYTHONPATH=models:benchmarks python benchmarks/bench.py NAME` "
            "measures one of these where what it is made from has changed: the sources of a build; "
            "the Verilog, and the sources that simulate or synthesise it, of the others. Behind "
            "each stands the commit that it was measured on.\n\n" + "\n".join(lines) + "\n")


# Each gives nothing where nothing of its kind is kept.
SECTIONS = (exactness, cost, speed, costs, clock, longest_paths, shared, isolated, contended,
            told_apart, planned, sight, commands)


def write_results(path: pathlib.Path, kept: Kept, *, stale: Sequence[str]) -> None:
    """The whole document."""
    machine = "; ".join(sorted({figures["machine"] for record in kept.values()
                                for figures in record.values()}))
    note = f"\nOf other sources than the present ones: {', '.join(stale)}.\n" if stale else ""
    parts = [HEADER.format(machine=machine, stale=note), *(section(kept) for section in SECTIONS)]
    path.write_text("\n".join(part for part in parts if part))
