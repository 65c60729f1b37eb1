"""Verilator: one C++ program for each accelerator, compiled once."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from fcnnx.cosim.beats import words_of
from fcnnx.cosim.cache import cached, digest
from fcnnx.cosim.compiler import compile_verilog, version
from fcnnx.cosim.job import STALL_SHARE, Job
from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.accelerator import Accelerator


__all__ = ["compile_simulator", "simulate"]


HARNESS = Path(__file__).with_name("harness.cpp")
SIGNALS = Path(__file__).with_name("signals.h")
# What Verilator's FST writer includes, and a machine need not have.
HEADERS = sorted(Path(__file__).with_name("waves").glob("*.h"))


def compile_simulator(rtl: Sequence[Path], accelerator: Accelerator, *, waves: bool,
                      progress: Callable[[str], None] = lambda step: None) -> Path:
    """The program that simulates an accelerator of these Verilog files.

    What the files of its memories hold is no part of it: it reads them when it runs.

    Raises
    ------
    BadInput
        If a compiler is missing, or stops.
    """
    files = {path.name: path.read_bytes()
             for path in [*rtl, HARNESS, SIGNALS, *(HEADERS if waves else ())]}
    files["ports.h"] = ports_header(accelerator).encode()

    def make(work: Path) -> Path:
        progress("Compiling the simulator")
        for name, content in files.items():
            (work / name).write_bytes(content)
        return compile_verilog(work, [path.name for path in rtl], HARNESS.name, waves=waves)

    return cached(digest([version(), str(waves),
                          *(part for item in sorted(files.items()) for part in item)]), make)


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


def simulate(job: Job, progress: Callable[[str], None]) -> int:
    """Run a job; gives the cycles.

    Raises
    ------
    BadInput
        If the simulator cannot be made, or cannot read a memory's file.
    TargetMissed
        If a network stands still.
    """
    program = compile_simulator(job.sources, job.accelerator, waves=job.waves is not None,
                                progress=progress)
    below = 0 if job.stalls is None else round(STALL_SHARE * (1 << 32))
    command = [program, job.work, job.patience, below, (job.stalls or 0) & 0xFFFFFFFF,
               job.waves or "-", *job.wanted]
    lines: list[str] = []
    progress("Simulating")
    with subprocess.Popen(list(map(str, command)), cwd=job.rtl, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout or ():
            lines.append(line.strip())
            if line.startswith("frames "):
                progress(f"Simulating: {line.split()[1]} of {sum(job.wanted)} frames")
    for line in lines:
        if line.startswith("%"):
            raise BadInput(Problem(where=str(job.rtl), reason=line.lstrip("%")))
    hanging = {int(line.split()[1]): int(line.split()[2]) for line in lines
               if line.startswith("hangs ")}
    if hanging:
        raise job.hang(hanging)
    if process.returncode:
        raise BadInput(Problem(where="Verilator", reason=f"The simulator ended with "
                               f"{process.returncode}: {' '.join(lines[-1:])}"))
    return int(lines[-1].split()[1])
