"""Yosys: each distinct module of a design synthesised once, and counted as often as it is there."""

import dataclasses
import functools
import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.device import Resources
from fcnnx.synthesis.cells import amounts, is_primitive
from fcnnx.synthesis.kept import kept
from fcnnx.synthesis.tool import run, workplace


__all__ = ["ModuleCount", "Synthesis", "read_design", "run_script", "synthesise", "version"]


TOP = "accelerator"
# It is in each module that has one: its sizes are parameters.
MEMORY = "memory"
TIMEOUT = 1200.0  # seconds, for one module

# Yosys ends its process where it finds an error, and says much: each module has one of its own.
WORKER = """\
import sys
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[1], libyosys.Design())
"""

# A module with the submodules of its own file; those of other files are black boxes. Yosys' ABC
# stops at the names that Amaranth gives to the elements of arrays.
SCRIPT = """\
read_verilog -defer {sources}
{boxes}
hierarchy -top {module}
rename -hide w:*[*]*
{synthesise}
tee -q -o stat.json stat -json
"""
SYNTHESISE = {
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {module}",
    "xcup": "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {module}",
    "ecp5": "synth_ecp5 -noabc9 -top {module}",
}
# The longest path between registers, block RAMs, multipliers and other modules, in cells.
PATH = "tee -q -o path.txt ltp -noff {ends} %n\n"
ENDS = ("TRELLIS_FF", "DP16KD", "MULT18X18D")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModuleCount:
    """What one distinct module takes, without the modules in it that have files of their own.

    Parameters
    ----------
    name : :class:`str`
    instances : :class:`int`
        Of it, in the whole design.
    resources : :class:`Resources`
        Of one.
    longest_path : :class:`int` or None
        Cells between two registers, where it was asked for.
    """

    name: str
    instances: int
    resources: Resources
    longest_path: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What a design takes.

    Parameters
    ----------
    tool : :class:`str`
        Name and version.
    family : :class:`str`
        As in :class:`Device`.
    modules : tuple of :class:`ModuleCount`
    """

    tool: str
    family: str
    modules: tuple[ModuleCount, ...]

    @property
    def total(self) -> Resources:
        """Of all instances of all modules."""
        return sum((module.resources * module.instances for module in self.modules), Resources())


def version() -> str:
    """Name and version of the tool.

    Raises
    ------
    BadInput
        If it is not installed.
    """
    try:
        return f"Yosys {importlib.metadata.version('pyosys')}"
    except importlib.metadata.PackageNotFoundError:
        raise BadInput(Problem(where="Yosys", reason="pyosys is not installed.",
                               remedy="Install fcnnx again: make install.")) from None


def read_design(rtl: Path) -> dict[str, str]:
    """The Verilog of a build, by distinct module: each has a file that is named for it."""
    return {path.stem: path.read_text() for path in sorted(rtl.glob("*.v"))}


def synthesise(texts: Mapping[str, str], family: str, *, top: str = TOP, paths: bool = False,
               timeout: float = TIMEOUT,
               progress: Callable[[str], None] = lambda step: None) -> Synthesis:
    """Synthesise each distinct module of a design.

    Parameters
    ----------
    texts : Verilog by distinct module
    family : :class:`str`
        As in :class:`Device`.
    top : :class:`str`
    paths : :class:`bool`
        Find the longest paths too; of the family ``"ecp5"`` only.
    timeout : :class:`float`
        Seconds that one module may take.
    progress : callable
        Is told each step.

    Raises
    ------
    BadInput
        If the tool is missing, or stops at a module, or takes too long.
    """
    tool = version()
    # Memories are counted by their sizes, whatever is in them.
    memory = re.sub(r"initial \$readmemh\(.*?\);", "", texts.get(MEMORY, ""))
    texts = {name: text for name, text in texts.items() if name != MEMORY}
    order = _order(texts, top)
    cells = {}
    longest = {}
    for k, name in enumerate(order):
        progress(f"Synthesising {name}, {k + 1} of {len(order)} modules")
        script = _script(name, texts, family, paths=paths)
        sources = {f"{name}.v": texts[name], "memory.v": memory,
                   "boxes.v": _boxes(name, texts), "script.ys": script}
        result = kept([tool, *(part for item in sorted(sources.items()) for part in item)],
                      functools.partial(_run, name, sources, timeout))
        cells[name], longest[name] = result["cells"], result["path"]
    instances = _instances(cells, order)
    return Synthesis(tool=tool, family=family, modules=tuple(
        ModuleCount(name=name, instances=instances[name],
                    resources=amounts(family, _known(name, cells[name], family, texts)),
                    longest_path=longest[name])
        for name in order))


def _children(name: str, texts: Mapping[str, str]) -> list[str]:
    """Modules of other files that a module has in it."""
    words = set(re.findall(r"^\s+\\?(\w+) (?:#|\w+ \(|\\)", texts[name], re.MULTILINE))
    return [other for other in texts if other in words and other != name]


def _order(texts: Mapping[str, str], top: str) -> list[str]:
    """Modules from the top on, each before those that are in it."""
    order: list[str] = []

    def visit(name: str) -> None:
        for child in _children(name, texts):
            visit(child)
        if name not in order:
            order.append(name)

    visit(top)
    return order[::-1]


def _boxes(name: str, texts: Mapping[str, str]) -> str:
    """The ports of the modules that stay closed: their text up to its first statement."""
    boxes = []
    for child in _children(name, texts):
        head, _, rest = texts[child].partition(");\n")
        ports = re.findall(r"^  ((?:input|output) .*;)$", rest.split("\nendmodule")[0],
                           re.MULTILINE)
        boxes.append("(* blackbox *)\n" + head + ");\n" + "\n".join(ports) + "\nendmodule\n")
    return "\n".join(boxes)


def _script(name: str, texts: Mapping[str, str], family: str, *, paths: bool) -> str:
    boxes = "read_verilog -lib boxes.v" if _children(name, texts) else ""
    script = SCRIPT.format(sources=f"{name}.v memory.v", boxes=boxes, module=name,
                           synthesise=SYNTHESISE[family].format(module=name))
    if not paths:
        return script
    first, *others = [f"t:{end}" for end in (*ENDS, *_children(name, texts))]
    return script + PATH.format(ends=" ".join([first, *(f"{other} %u" for other in others)]))


def _run(name: str, sources: Mapping[str, str], timeout: float) -> dict[str, Any]:
    """Cells of a module by their types, and its longest path."""
    with workplace("Yosys", sources) as folder:
        run_script(folder, name, timeout)
        found = json.loads((folder / "stat.json").read_text())["design"]
        path = folder / "path.txt"
        length = None
        if path.exists():
            lengths = re.findall(r"\(length=(\d+)\)", path.read_text())
            length = max(map(int, lengths), default=0)
        return {"cells": found["num_cells_by_type"], "path": length}


def run_script(folder: Path, where: str, timeout: float) -> None:
    """Run ``script.ys`` of a folder in it.

    Raises
    ------
    BadInput
        If the tool stops or takes too long.
    """
    run("Yosys", WORKER, ["script.ys"], folder=folder, where=where, timeout=timeout)


def _known(name: str, cells: Mapping[str, int], family: str,
           texts: Mapping[str, str]) -> Mapping[str, int]:
    """The cells, all of which must be understood: what is not counted would be a lie."""
    strange = [cell for cell in cells
               if not is_primitive(family, cell) and cell not in texts and cell != "$scopeinfo"]
    if strange:
        raise BadInput(Problem(where=name, reason=f"Yosys left cells that nobody knows: "
                               f"{', '.join(strange)}."))
    return cells


def _instances(cells: Mapping[str, Mapping[str, int]], order: list[str]) -> dict[str, int]:
    """How often each module is in the design; the order has those above first."""
    instances = dict.fromkeys(order, 0)
    instances[order[0]] = 1
    for name in order:
        for cell, times in cells[name].items():
            if cell in instances:
                instances[cell] += times * instances[name]
    return instances
