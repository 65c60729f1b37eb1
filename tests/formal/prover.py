"""Proofs by property-directed reachability: no bound, no induction by hand.

A harness is a component without a reset whose inputs are whatever anybody may do, and that asserts
what has to hold. Yosys makes an AIGER circuit of it, ABC (which ships with it) proves or refutes.
"""

import contextlib
import dataclasses
import inspect
import re
import resource
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path

import pyosys
from amaranth import *
from amaranth.back import rtlil
from amaranth.lib import wiring


__all__ = ["PROOF", "SCRIPT", "Verdict", "circuit", "decide", "mutation"]


SCRIPT = """\
read_rtlil top.il
hierarchy -top top
proc
flatten
opt
async2sync
chformal -lower
memory -nomap
memory_map
opt -full
dffunmap
setundef -undriven -zero
formalff -clk2ff -ff2anyinit
setundef -anyseq
opt -full
techmap
dffunmap
simplemap
aigmap
write_aiger -I -B -zinit top.aig
"""
PROOF = ("read_aiger top.aig; fold; strash; scleanup; scorr; dc2; scorr; print_stats; "
         "pdr -T {timeout}; print_status; iprove")
# Yosys ends its process where it finds an error.
YOSYS = """\
import sys
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[1], libyosys.Design())
"""
ABC = Path(pyosys.__file__).with_name("yosys-abc")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a harness.

    Parameters
    ----------
    result : :class:`str`
        ``"proved"``, ``"refuted"``, or ``"unknown"`` where time ran out.
    depth : :class:`int` or None
        Cycles of the run that refutes it.
    registers, gates : :class:`int`
        Of the circuit.
    seconds : :class:`float`
        Of a processor.
    """

    result: str
    depth: int | None
    registers: int
    gates: int
    seconds: float


def circuit(harness: wiring.Component) -> str:
    """A harness as Yosys reads it."""
    return rtlil.convert(harness, name="top", emit_src=False)


def decide(harness: wiring.Component, *, timeout: int = 60) -> Verdict:
    """Prove or refute all that a harness asserts.

    Parameters
    ----------
    harness : :class:`wiring.Component`
    timeout : :class:`int`
        Seconds.
    """
    start = _processor_seconds()
    with tempfile.TemporaryDirectory(prefix="fcnnx-") as name:
        folder = Path(name)
        (folder / "top.il").write_text(circuit(harness))
        (folder / "script.ys").write_text(SCRIPT)
        _run([sys.executable, "-P", "-c", YOSYS, "script.ys"], folder)
        said = _run([str(ABC), "-c", PROOF.format(timeout=timeout)], folder)
    sizes = re.search(r"lat = +(\d+) +and = +(\d+)", said)
    status = re.search(r"Status = +(-?\d+) +Frames = +(-?\d+)", said)
    assert sizes, said
    assert status, said
    result = {"1": "proved", "0": "refuted"}.get(status[1], "unknown")
    if sizes[1] == "0" and re.search(r"^UNSATISFIABLE", said, re.MULTILINE):
        result = "proved"  # by scorr alone: it left no registers, and pdr says nothing then
    depth = re.search(r"was asserted in frame (\d+)", said)
    return Verdict(result=result, depth=int(depth[1]) + 1 if depth else None,
                   registers=int(sizes[1]), gates=int(sizes[2]),
                   seconds=_processor_seconds() - start)


def _processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(command, folder):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def mutation(module: types.ModuleType, old: str, new: str) -> Iterator[None]:
    """With other words in a module's source, of which the old ones are there once.

    Whoever has imported something from the module has it from the other one meanwhile.
    """
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {module.__name__}"
    mutant = types.ModuleType(module.__name__)
    mutant.__package__ = module.__package__
    exec(compile(source.replace(old, new), f"{module.__file__}, mutated", "exec"),
         mutant.__dict__)
    changed = []
    for user in [each for each in sys.modules.values()
                 if getattr(each, "__package__", "") and "fcnnx" in each.__name__]:
        for name in module.__all__:
            if getattr(user, name, None) is getattr(module, name):
                changed.append((user, name, getattr(user, name)))
    for user, name, _ in changed:
        setattr(user, name, getattr(mutant, name))
    try:
        yield
    finally:
        for user, name, original in changed:
            setattr(user, name, original)
