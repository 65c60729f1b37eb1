"""RESULTS.md from what the cases gave."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any


__all__ = ["write_results"]

Figures = Mapping[str, Any]

HEADER = """# Results

Written by `make bench`, which measures what it has not measured on these sources yet. Cycles, DSPs,
block RAMs, LUTs and values are exact and the same on any machine; seconds are those of {machine},
where other work may have run at the same time.
{stale}
"""

# Measured on boards in MLPerf Tiny v1.1 by fpgaConvNet: cycles by its own folding, and of one
# inference with software and DMA.
PEER = {"resnet8_zc706": (18496, 27542), "resnet8_zedboard": (32768, 58813),
        "mobilenet_zc706": (36864, 144062), "mobilenet_zedboard": (294912, 1053011),
        "dscnn_zedboard": (32000, 46310)}


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; all but the first column are figures."""
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(_text, row)) + " |" for row in rows]) + "\n"


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def exactness(kept: Mapping[str, Figures]) -> str:
    """Values and cycles, predicted and simulated."""
    rows = []
    for name, figures in kept.items():
        for network, row in figures["networks"].items():
            rows.append([name, network, row["values"], row["mismatches"],
                         row["mismatches_stalled"], *row["interval"], *row["latency"]])
    return ("## Exactness\n\nEight frames back to back. Mismatches are values in which simulated "
            "hardware and golden model differ, without stalls and with random stalls at both ends. "
            "Cycles are those of `report.json`, before any simulator ran, and those of the "
            "simulation.\n\n"
            + table(["case", "network", "values", "mismatches", "stalled", "interval predicted",
                     "simulated", "latency predicted", "simulated"], rows))


def cost(kept: Mapping[str, Figures]) -> str:
    """What each accelerator takes, and how long the tool does."""
    rows = []
    for name, figures in kept.items():
        total, seconds = figures["total"], figures["seconds"]
        efficiency = ", ".join(f"{100 * row['mac_efficiency']:.0f} %"
                               for row in figures["networks"].values())
        rows.append([name, figures["board"], total["dsp"], total["bram18"], total["lut"],
                     efficiency, seconds["build"], seconds["simulate"], seconds["simulate again"]])
    return ("## Cost and tool speed\n\nPredicted resources, multipliers at work, and seconds of "
            "`build`, of `simulate` with eight frames (with the C++ build), and of the same again."
            "\n\n"
            + table(["case", "board", "DSP", "BRAM18", "LUT", "multipliers at work", "build",
                     "simulate", "again"], rows))


def speed(kept: Mapping[str, Figures]) -> str:
    """The rows of the strongest published tool, within its DSPs and LUTs."""
    rows = []
    for name, figures in kept.items():
        if not figures["bars"]:
            continue
        (row,) = figures["networks"].values()
        synthesis, total, caps = figures.get("synthesis"), figures["total"], figures["caps"]
        counted = [f"{synthesis[key]:,} of {cap:,} (predicted {total[key]:,})"
                   for key, cap in zip(("dsp", "lut"), caps, strict=True)] if synthesis else [
                       "not measured"] * 2
        interval, latency = row["interval"][1], row["latency"][1]
        floor = row["macs"] / (2 * caps[0])
        rows.append([name, f"{interval:,} ({figures['bars'][0]:,})",
                     f"{latency:,} ({figures['bars'][1]:,})", f"{interval / floor:.2f}", *counted,
                     *PEER[name]])
    if not rows:
        return ""
    return ("## Speed within the published DSPs and LUTs\n\nSimulated cycles, the bar in brackets. "
            "The floor is MACs / (2 x DSPs), every DSP making two products every cycle; "
            "multipliers of LUTs go below it. DSPs and LUTs are Yosys' counts. The last two "
            "columns are fpgaConvNet's (MLPerf Tiny v1.1): the interval of its folding, and the "
            "measured cycles of one inference on the board, software included.\n\n"
            + table(["row", "interval", "first-frame latency", "interval / floor", "DSP", "LUT",
                     "fpgaConvNet interval", "its inference"], rows))


def sight(figures: Figures) -> str:
    """The verdicts on labelled patches."""
    return ("## What the hardware sees\n\nR-Net on the 200 labelled patches of scikit-image's "
            f"`lfw_subset`, from the simulated hardware ({figures['mismatches']} mismatches with "
            f"the golden model): {figures['agree']} of {figures['patches']} verdicts are those of "
            f"onnxruntime on the float model. Right are {figures['right']}; of the float model's, "
            f"{figures['float_right']}.\n")


def write_results(path: pathlib.Path, kept: Mapping[str, Figures], sources: str) -> None:
    """The whole document."""
    stale = [name for name, figures in kept.items() if figures["tree"] != sources]
    machine = ", ".join(sorted({figures["machine"] for figures in kept.values()}))
    note = ("\nMeasured on other sources than the present ones: " + ", ".join(stale) + ".\n"
            if stale else "")
    accelerators = {name: figures for name, figures in kept.items() if "networks" in figures}
    parts = [HEADER.format(machine=machine, stale=note), exactness(accelerators),
             cost(accelerators), speed(accelerators)]
    if "lfw_subset" in kept:
        parts.append(sight(kept["lfw_subset"]))
    commands = "\n".join(f"- {name}: `{figures['command']}`" for name, figures in kept.items())
    parts.append("## Commands\n\n`PYTHONPATH=models python benchmarks/bench.py NAME` measures one "
                 f"of these where its sources have changed:\n\n{commands}\n")
    path.write_text("\n".join(part for part in parts if part))
