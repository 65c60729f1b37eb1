"""The reports in a build folder: what they are called, and how they are kept up to date."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from fcnnx import folder
from fcnnx.errors import BadInput, Problem

from .measured import CYCLES, with_measurements
from .numbers import KINDS


__all__ = ["PAGE", "REPORT", "SIMULATION", "SYNTHESIS", "refresh", "texts"]

REPORT, PAGE = "report.json", "report.html"
SIMULATION, SYNTHESIS = "simulation.json", "synthesis.json"

# What pages show of a simulation, of each network and stream in it, and of a synthesis.
RUN = ("simulator", "seconds", "cycles", "networks", "memory")
NETWORK = ("values", "mismatches", "starved_cycles", "longest_latency_cycles", *CYCLES)
MEMORY = ("bytes", "utilisation", "steady_utilisation", "underruns", "sampled_from",
          "sample_cycles", "streams")
STREAM = ("name", "port", "least", "greatest", "samples")
COUNTED = ("tool", "target", "seconds", "fmax_mhz", *KINDS)


def texts(report: dict[str, Any]) -> dict[str, str]:
    """What report.json and report.html hold, by name.

    Raises
    ------
    BadInput
        If the charts cannot be drawn.
    """
    try:
        from . import html  # what draws charts takes a second to load, which only builds wait for
    except ImportError as error:
        raise BadInput(Problem(where=PAGE, reason=f"The charts cannot be drawn: {error}.",
                               remedy="Install fcnnx again: make install.")) from error

    return {REPORT: folder.json_text(report), PAGE: html.page(report)}


def refresh(build: pathlib.Path) -> dict[str, Any]:
    """Write the reports anew, with what simulation.json and synthesis.json say; gives report.json.

    One of the two that another version of fcnnx wrote counts as none.

    Raises
    ------
    BadInput
        If the report is of an older version, the charts cannot be drawn, or the files cannot be
        written; both are as they were then.
    """
    planned = json.loads((build / REPORT).read_text(encoding="utf-8"))
    if not _is_of_this_version(planned):
        raise BadInput(Problem(where=str(build / REPORT), reason="The report is of an older "
                               "version of fcnnx.", remedy="Build it again with --force."))
    simulation, synthesis = _read(build / SIMULATION), _read(build / SYNTHESIS)
    report = with_measurements(
        planned, simulation if _is_simulation(simulation, planned) else None,
        synthesis if _has(synthesis, COUNTED) else None)
    folder.rewrite(build, texts(report))
    return report


def _is_of_this_version(planned: Mapping[str, Any]) -> bool:
    """Whether it has what pages show today."""
    if not {"comparison", "memory"} <= set(planned):
        return False
    ports = planned["schedule"]["ports"] if planned["schedule"] else ()
    return all({"level", "stripes"} <= set(stream) for port in ports for stream in port["streams"])


def _is_simulation(found: Any, planned: Mapping[str, Any]) -> bool:
    """Whether it has what pages show today, of the networks that are planned."""
    if not _has(found, RUN) or not _has(found["networks"], planned["networks"]):
        return False
    if not all(_has(found["networks"][name], NETWORK) for name in planned["networks"]):
        return False
    if not planned["schedule"]:
        return _has(found["memory"], ("underruns",))
    return _has(found["memory"], MEMORY) and all(
        _has(stream, STREAM) for stream in found["memory"]["streams"])


def _has(found: Any, keys: Iterable[str]) -> bool:
    return isinstance(found, dict) and set(keys) <= set(found)


def _read(path: pathlib.Path) -> Any:
    """What a JSON file says; None where there is none, or it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
