"""What users write on the command line, or give to the Python functions, as typed objects.

Where the command line has ``NAME=VALUE`` texts, the functions take those or a mapping.
"""

import os
import pathlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fcnnx.errors import BadInput, Problem
from fcnnx.frontend import ModelSource, network_name


__all__ = ["Arrays", "Named", "PathLike", "model_sources", "named", "read_arrays"]

PathLike = str | os.PathLike[str]
Arrays = Mapping[str, np.ndarray]
Named = Mapping[str, Any] | Iterable[str]


def named(option: str, given: Named) -> dict[str, Any]:
    """Values by name; of a text, the name ends before the last ``=``.

    Raises
    ------
    BadInput
        If a text has no name or no value, or a name comes twice.
    """
    if isinstance(given, Mapping):
        return dict(given)
    values: dict[str, str] = {}
    problems = []
    for text in given:
        name, _, value = text.rpartition("=")
        if not (name and value):
            problems.append(Problem(where=option, reason=f"{text!r} is not of the form "
                                    "NAME=VALUE."))
        elif name in values:
            problems.append(Problem(where=option, reason=f"{name} is given twice."))
        values[name] = value
    if problems:
        raise BadInput(*problems)
    return values


def read_arrays(path: PathLike) -> dict[str, np.ndarray]:
    """The arrays of an npz file.

    Raises
    ------
    BadInput
        If it cannot be read.
    """
    def bad(reason: str) -> BadInput:
        return BadInput(Problem(where=str(path), reason=reason,
                                remedy="Write it with numpy.savez."))

    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise bad("This is not an npz file.")
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise BadInput(Problem(where=str(path), reason="There is no such file.")) from None
    except OSError as error:
        raise BadInput(Problem(where=str(path), reason="The file cannot be read: "
                               f"{error.strerror or error}.")) from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise bad("This is not an npz file of plain arrays, or it is damaged.") from None


def model_sources(models: Named, calibration: Named = (),
                  shapes: Named = ()) -> tuple[ModelSource, ...]:
    """Models with what belongs to each of them.

    Parameters
    ----------
    models : paths, each on its own or by NAME
    calibration : arrays, or npz files with them, by network
    shapes : sequences, or texts such as ``1,48,48,3``, by ``NETWORK/INPUT``, or ``INPUT`` where
        there is one network

    Raises
    ------
    BadInput
        With all that is wrong.
    """
    problems: list[Problem] = []
    paths = _paths(models, problems)
    arrays = _calibration(calibration, paths, problems)
    bound = _shapes(shapes, paths, problems)
    if problems:
        raise BadInput(*problems)
    return tuple(ModelSource(name, path, bound[name], arrays.get(name))
                 for name, path in paths.items())


def _paths(models: Named, problems: list[Problem]) -> dict[str, pathlib.Path]:
    given: list[tuple[str, PathLike]] = []
    for model in models.items() if isinstance(models, Mapping) else models:
        if isinstance(model, tuple):
            given.append(model)
            continue
        name, equals, path = os.fspath(model).partition("=")
        if equals and network_name(name + ".onnx") == name:
            given.append((name, path))
        else:
            given.append((network_name(model), model))
    if not given:
        problems.append(Problem(where="--models", reason="No model is given."))
    paths: dict[str, pathlib.Path] = {}
    for name, place in given:
        if not name or network_name(f"{name}.onnx") != name:
            problems.append(Problem(where="--models", reason=f"{name!r} cannot be the name of a "
                                    "network.", remedy="Use letters, digits and underscores."))
        elif name in paths:
            problems.append(Problem(
                where="--models", reason=f"Two models are called {name}: {paths[name]} and "
                f"{place}.", remedy=f"Name one of them: --models OTHER={place}."))
        else:
            paths[name] = pathlib.Path(place)
    return paths


def _calibration(given: Named, paths: Mapping[str, pathlib.Path],
                 problems: list[Problem]) -> dict[str, Arrays]:
    found: dict[str, Arrays] = {}
    try:
        entries = named("--calibration", given)
    except BadInput as error:
        problems += error.problems
        return found
    for name, source in entries.items():
        if name not in paths:
            problems.append(_unknown("--calibration", name, paths))
            continue
        try:
            arrays = source if isinstance(source, Mapping) else read_arrays(source)
        except BadInput as error:
            problems += error.problems
            continue
        found[name] = {tensor.removeprefix(f"{name}/"): array for tensor, array in arrays.items()}
    return found


def _shapes(given: Named, paths: Mapping[str, pathlib.Path],
            problems: list[Problem]) -> dict[str, dict[str, tuple[int, ...]]]:
    bound: dict[str, dict[str, tuple[int, ...]]] = {name: {} for name in paths}
    try:
        entries = named("--shape", given)
    except BadInput as error:
        problems += error.problems
        return bound
    for where, value in entries.items():
        name, slash, tensor = where.partition("/")
        if not (slash and name in paths):
            if len(paths) != 1:
                problems.append(Problem(
                    where="--shape", reason=f"{where} does not say which network it is for.",
                    remedy=f"Write NETWORK/INPUT; the networks are {', '.join(paths)}."))
                continue
            (name,), tensor = paths, where
        try:
            bound[name][tensor] = _sizes(value)
        except ValueError:
            problems.append(Problem(where=f"--shape {where}", reason=f"{value!r} is not a shape.",
                                    remedy="Write positive sizes and commas, as in 1,48,48,3."))
    return bound


def _sizes(value: str | Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in (value.split(",") if isinstance(value, str) else value))
    if min(sizes) < 1:
        raise ValueError("Sizes must be positive")
    return sizes


def _unknown(option: str, name: str, paths: Mapping[str, pathlib.Path]) -> Problem:
    return Problem(where=option, reason=f"There is no network {name!r}.",
                   remedy=f"There are: {', '.join(paths)}." if paths else "")
