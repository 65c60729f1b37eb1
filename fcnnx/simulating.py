"""Running a build in a simulator, and holding what comes out against the golden model."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcnnx import folder
from fcnnx.building import MODELS, Progress, silent
from fcnnx.cosim.check import prove
from fcnnx.errors import BadInput, Problem
from fcnnx.frontend import Host
from fcnnx.generate import IMAGE, weight_images
from fcnnx.network import Network
from fcnnx.options import Arrays, PathLike, read_arrays
from fcnnx.plan import NetworkPlan, Plan
from fcnnx.report.files import REPORT, SIMULATION, refresh


__all__ = ["Simulation", "simulate"]

FRAMES = 8  # of each network, where nobody says
SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Simulation:
    """What a simulation gave.

    Parameters
    ----------
    report, predicted : mappings
        As in simulation.json, and in the build's report.json.
    outputs : arrays by ``NETWORK/TENSOR``, first axis frames
        Values as the models give them.
    differences : tuple of :class:`str`
        Where hardware and golden model first differ, of each network that does.
    """

    report: dict[str, Any]
    predicted: dict[str, Any]
    outputs: dict[str, np.ndarray]
    differences: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether hardware and golden model agree in every value."""
        return not any(row["mismatches"] for row in self.report["networks"].values())


def simulate(build: PathLike, *, inputs: Arrays | PathLike | None = None,
             outputs: PathLike | None = None, frames: int | None = None,
             stalls: int | None = None, waves: PathLike | None = None,
             simulator: str = "verilator", progress: Progress = silent) -> Simulation:
    """Run a build's Verilog, compare it with the golden model, and write simulation.json; the
    build's reports then hold what was measured.

    Parameters
    ----------
    build : path
        The folder that :func:`fcnnx.build` made.
    inputs : arrays by ``NETWORK/TENSOR``, or ``TENSOR`` of a single network; or an npz file
        First axis frames, values as the model takes them; seeded random frames where it is None.
    outputs : path or None
        Where to write the outputs, an npz file.
    frames : :class:`int` or None
        Of each network; where it is None, as many as the inputs have, or 8. Where the inputs have
        fewer they come again.
    stalls : :class:`int` or None
        Seed of random stalls at both ends of the accelerator, or of its memory.
    waves : path or None
        Where to write all signals, an FST file.
    simulator : ``"verilator"`` or ``"icarus"``
    progress : callable
        Is told each step.

    Raises
    ------
    BadInput
        If the build is not as it was written, the inputs do not fit, or a tool is missing.
    TargetMissed
        If a network hangs.
    """
    place = pathlib.Path(build)
    folder.read_build(place)
    with folder.in_use(place, writing=False):
        folder.verify(place)
        if not (place / "rtl").is_dir():
            raise BadInput(Problem(where=str(place), reason="This build was only planned: it has "
                                   "no Verilog.", remedy="Build it without --plan-only."))
        decided = Plan.load(place)
        _check_image(place, decided)
        predicted = json.loads((place / REPORT).read_text())
        hosts = {network.name: _host(place, network) for network in decided.networks}
        given = _frames_given(hosts, inputs, frames)
        wanted = {name: frames or len(next(iter(tensors.values())))
                  for name, tensors in given.items()}
        progress("Quantising the inputs")
        integers = {(name, tensor): values for name, host in hosts.items()
                    for tensor, values in host.quantize(given[name]).items()}
        if decided.memory is not None and simulator != "verilator":
            raise BadInput(Problem(where="--simulator", reason="A build that reaches a memory is "
                                   f"not simulated by {simulator}.", remedy="Use verilator."))
        result = prove(place, decided.accelerator, integers, wanted, memory=decided.memory,
                       stalls=stalls, waves=None if waves is None else pathlib.Path(waves),
                       simulator=simulator, progress=progress)
        found = {f"{name}/{tensor}": values for name, host in hosts.items()
                 for tensor, values in host.dequantize({
                     stream: values[:wanted[name]]
                     for (engine, stream), values in result.run.outputs.items()
                     if engine == name}).items()}
        report = result.to_json() | {"stalls": stalls}
        _write_result(place / SIMULATION, report)
        progress("Drawing the report")
        refresh(place)
    if outputs is not None:
        _write_outputs(pathlib.Path(outputs), found)
    return Simulation(report=report, predicted=predicted, outputs=found,
                      differences=tuple(map(str, result.differences)))


def _check_image(build: pathlib.Path, decided: Plan) -> None:
    """Whether the memory image is the plan's: what is simulated is what a board would be given.

    Raises
    ------
    BadInput
        If it is not.
    """
    path = build / IMAGE
    if decided.memory is None:
        return
    if not path.is_file() or path.read_bytes() != b"".join(
            weight_images(decided.accelerator).values()):
        raise BadInput(Problem(where=str(path), reason="This is not the memory image of this plan.",
                               remedy="Build it again with --force."))


def _host(build: pathlib.Path, network: NetworkPlan) -> Host:
    """The host's part, which sees nothing of a network but its ends."""
    ends = Network(name=network.name, inputs=network.inputs, stages=(), outputs=network.outputs)
    return Host(build / MODELS / f"{network.name}.onnx", ends)


def _write_result(path: pathlib.Path, report: dict[str, Any]) -> None:
    try:
        folder.write_json(path, report)
    except OSError as error:
        raise BadInput(Problem(where=str(path), reason="The result cannot be written: "
                               f"{error.strerror or error}.")) from None


def _write_outputs(path: pathlib.Path, arrays: Arrays) -> None:
    try:
        with path.open("wb") as file:
            np.savez(file, **dict[str, Any](arrays))
    except OSError as error:
        raise BadInput(Problem(where=str(path), reason="The outputs cannot be written: "
                               f"{error.strerror or error}.")) from None


def _by_network(arrays: Arrays, networks: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Arrays by network and tensor.

    Raises
    ------
    BadInput
        If a name does not say which network it is for.
    """
    problems = []
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in networks}
    for name, array in arrays.items():
        network, slash, tensor = name.partition("/")
        if slash and network in found:
            found[network][tensor] = array
        elif len(networks) == 1:
            found[networks[0]][name] = array
        else:
            problems.append(Problem(
                where=f"inputs, {name!r}", reason="The name does not say which network the array "
                "is for.", remedy=f"Write NETWORK/TENSOR; the networks are {', '.join(networks)}."))
    if problems:
        raise BadInput(*problems)
    return found


def _frames_given(hosts: Mapping[str, Host], inputs: Arrays | PathLike | None,
                  frames: int | None) -> dict[str, dict[str, np.ndarray]]:
    """What goes into each network, checked; as many frames as are wanted, or fewer.

    Raises
    ------
    BadInput
        With all that is wrong with the inputs.
    """
    if frames is not None and frames < 1:
        raise BadInput(Problem(where="--frames", reason=f"At least one frame must be simulated, "
                               f"not {frames}."))
    if inputs is None:
        return {name: host.random(FRAMES if frames is None else frames, SEED)
                for name, host in hosts.items()}
    arrays = inputs if isinstance(inputs, Mapping) else read_arrays(inputs)
    given = _by_network(arrays, [*hosts])
    problems = [problem for name, host in hosts.items()
                for problem in host.problems(given[name])]
    if problems:
        raise BadInput(*problems)
    return {name: {tensor: array[:frames] for tensor, array in tensors.items()}
            for name, tensors in given.items()}
