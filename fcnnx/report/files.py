"""The reports in a build folder: what they are called, and how they are kept up to date."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from fcnnx import folder
from fcnnx.errors import BadInput, Problem

from .measured import with_measurements


__all__ = ["PAGE", "REPORT", "SIMULATION", "SYNTHESIS", "refresh", "texts"]

REPORT, PAGE = "report.json", "report.html"
SIMULATION, SYNTHESIS = "simulation.json", "synthesis.json"


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
    report = with_measurements(planned, _read(build / SIMULATION), _read(build / SYNTHESIS))
    folder.rewrite(build, texts(report))
    return report


def _is_of_this_version(planned: Mapping[str, Any]) -> bool:
    """Whether it has what pages show today."""
    if not {"comparison", "memory"} <= set(planned):
        return False
    ports = planned["schedule"]["ports"] if planned["schedule"] else ()
    return all({"level", "stripes"} <= set(stream) for port in ports for stream in port["streams"])


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
