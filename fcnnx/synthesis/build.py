"""Synthesising a build, and holding what it takes against what was predicted."""

import dataclasses
import functools
import json
import pathlib
import time
from typing import Any

from fcnnx import boards, folder
from fcnnx.building import Progress, silent
from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.device import Resources
from fcnnx.options import PathLike
from fcnnx.plan import Plan
from fcnnx.report.files import SYNTHESIS, refresh
from fcnnx.synthesis import nextpnr
from fcnnx.synthesis.yosys import TIMEOUT, Synthesis, read_design, synthesise


__all__ = ["RESULT", "BuildSynthesis", "read_synthesis", "synthesise_build"]

RESULT = SYNTHESIS
NAMES = {"dsp": "DSPs", "bram18": "18-kbit block RAMs", "uram": "ultra RAMs", "lut": "LUTs",
         "ff": "flip-flops"}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BuildSynthesis:
    """What a build takes.

    Parameters
    ----------
    report : mapping
        As in synthesis.json.
    folder : path
        Of the build.
    """

    report: dict[str, Any]
    folder: pathlib.Path


def synthesise_build(build: PathLike, *, board: str | None = None, paths: bool = False,
                     route: bool = False, timeout: float | None = None,
                     progress: Progress = silent) -> BuildSynthesis:
    """Synthesise a build's modules, and write synthesis.json; the build's reports then hold what
    was counted.

    Parameters
    ----------
    build : path
        The folder that :func:`fcnnx.build` made.
    board : :class:`str` or None
        Another board of the same family, on which it is to fit; the plan's own, with its caps and
        headroom, where it is None.
    paths : :class:`bool`
        Find the longest path of each module as well, on the ECP5, for which there is an open tool.
    route : :class:`bool`
        Place and route the whole design, on the ECP5: the clock is measured then.
    timeout : :class:`float` or None
        Seconds that one module may take, and placing and routing the whole design.
    progress : callable
        Is told each step.

    Raises
    ------
    BadInput
        If the build is not as it was written, the board is of another family, a tool is missing or
        fails, there is none that places and routes for the board, the result cannot be written, or
        the design does not fit; synthesis.json is there only in the last of these cases.
    """
    place = pathlib.Path(build)
    folder.read_build(place)
    with folder.in_use(place, writing=False):
        folder.verify(place)
        if not (place / "rtl").is_dir():
            raise BadInput(Problem(where=str(place), reason="This build was only planned: it has "
                                   "no Verilog.", remedy="Build it without --plan-only."))
        decided = Plan.load(place)
        device, budget, where = _target(decided, board)
        if route:
            nextpnr.check(device.name)
        start = time.monotonic()
        texts = read_design(place / "rtl")
        count = functools.partial(synthesise, texts, timeout=timeout or TIMEOUT, progress=progress)
        longest = count(nextpnr.FAMILY, paths=True) if paths else None
        found = longest if longest and device.family == nextpnr.FAMILY else count(device.family)
        routed = None
        if route and found.total.fits(device.resources):
            routed = nextpnr.place_and_route(_files(place / "rtl"), device.name,
                                             timeout=timeout or nextpnr.TIMEOUT, progress=progress)
        report = _report(decided, found, longest, routed, device.name, time.monotonic() - start)
        try:
            folder.write_json(place / RESULT, report)
        except OSError as error:
            raise BadInput(Problem(where=str(place / RESULT), reason=f"The result cannot be "
                                   f"written: {error.strerror or error}.")) from None
        progress("Drawing the report")
        refresh(place)
    if over := _excess(found.total, budget):
        raise BadInput(Problem(where=str(place), reason=f"The design does not fit {where}: {over}.",
                               remedy=f"{RESULT} has the counts of every module."))
    return BuildSynthesis(report=report, folder=place)


def read_synthesis(build: PathLike) -> dict[str, Any] | None:
    """What synthesis.json of a build says; None where there is none, or it cannot be read."""
    try:
        return json.loads((pathlib.Path(build) / RESULT).read_text())
    except (OSError, ValueError):
        return None


def _files(rtl: pathlib.Path) -> dict[str, str]:
    """The Verilog of a build, and what its memories hold."""
    return {path.name: path.read_text() for path in sorted(rtl.iterdir())
            if path.suffix in (".v", ".mem")}


def _target(decided: Plan, board: str | None) -> tuple[Any, Resources, str]:
    """Device, what may be used of it, and what that is called."""
    planned = boards.get(decided.board).device
    if board is None:
        return planned, decided.budget, f"the budget on {decided.board}"
    chosen = boards.get(board)
    if chosen.device.family != planned.family:
        raise BadInput(Problem(
            where="--board", reason=f"The build is planned for {decided.board}, of the family "
            f"{planned.family}; {chosen.name} is of the family {chosen.device.family}.",
            remedy=f"Build it again with --board {chosen.name}."))
    return chosen.device, chosen.device.resources, chosen.name


def _excess(found: Resources, budget: Resources) -> str:
    """What is used of each kind beyond the budget."""
    limits = dict(budget.items())
    return ", ".join(f"{amount:,} {NAMES[kind]} of {limits[kind]:,}, {amount - limits[kind]:,} "
                     f"too many" for kind, amount in found.items() if amount > limits[kind])


def _report(decided: Plan, found: Synthesis, longest: Synthesis | None,
            routed: nextpnr.Route | None, target: str, seconds: float) -> dict[str, Any]:
    paths = {module.name: module.longest_path for module in longest.modules} if longest else {}
    modules = {module.name: {"instances": module.instances, **dict(module.resources.items()),
                             "longest_path": paths.get(module.name)}
               for module in found.modules}
    return {"tool": found.tool, "target": target, "plan": decided.digest,
            "seconds": round(seconds, 1), **dict(found.total.items()),
            "predicted": dict(decided.resources.items()), "bitstream": None,
            "fmax_mhz": routed.fmax_mhz if routed else None,
            "route": dataclasses.asdict(routed) if routed else None, "modules": modules}
