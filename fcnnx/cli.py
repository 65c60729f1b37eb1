"""The command line: words to typed arguments, results to tables, errors to exit codes."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from fcnnx.errors import BadInput
from fcnnx.report import terminal
from fcnnx.report.progress import Steps


__all__ = ["main"]

DONE, NO, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

Texts = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())]
Flag = Annotated[bool, Parameter(negative=())]

app = App(name="fcnnx", help="Several trained networks, one proven FPGA accelerator.",
          version=lambda: importlib.metadata.version("fcnnx"), help_format="markdown",
          result_action="return_value", suppress_keyboard_interrupt=False,
          default_parameter=Parameter(show_default=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code: 0 done, 1 the answer is no, 2 bad input."""
    errors = Console(stderr=True, highlight=False)
    try:
        return app(arguments, exit_on_error=False, print_error=False) or 0
    except CycloptsError as error:
        errors.print(f"error: {error}", markup=False)
        errors.print("fcnnx --help, or fcnnx COMMAND --help, tells how it is used.")
        return BAD_INPUT
    except BadInput as error:
        for problem in error.problems:
            errors.print(f"error: {problem}", markup=False, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        errors.print("Interrupted; nothing was left behind.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@app.command
def check(*models: str, shape: Texts = (), json: Flag = False) -> int:
    """Tell every problem of every model.

    Parameters
    ----------
    models
        ONNX files, on their own or as NAME=FILE.
    shape
        Sizes that a model leaves open: [NETWORK/]INPUT=1,48,48,3.
    json
        Print JSON.
    """
    from fcnnx.building import check as check_models

    with _steps() as steps:
        rows = check_models(models, shapes=shape, progress=steps)
    if json:
        _print_json(rows)
    else:
        terminal.show_models(rows)
    return DONE


@app.command
def build(*, models: Texts, board: str, out: pathlib.Path | None = None,
          calibration: Texts = (), shape: Texts = (), targets: Texts = (),
          objective: Literal["throughput", "fairness", "resources"] = "throughput",
          dsp: int | None = None, bram18: int | None = None, lut: int | None = None,
          clock: float | None = None, headroom: float = 0.0,
          io: Literal["dram", "stream"] | None = None, bandwidth: float | None = None,
          schedule: Literal["cyclic", "round-robin"] = "cyclic",
          policy: Literal["joint", "unaware"] = "joint", plan_only: Flag = False,
          force: Flag = False, json: Flag = False) -> int:
    """Make one accelerator of some networks.

    Parameters
    ----------
    models
        ONNX files, on their own or as NAME=FILE.
    board
        One that `fcnnx boards` lists.
    out
        Folder of the build; build/NAMES where it is left out.
    calibration
        Typical inputs of float models: NAME=x.npz.
    shape
        Sizes that a model leaves open: [NETWORK/]INPUT=1,48,48,3.
    targets
        What is wanted of a network: NAME=30fps, NAME=10ms, or a weight, NAME=2.0.
    objective
        throughput: the most weighted frames; fairness: the network that suffers most suffers least;
        resources: the targets with the least of the device.
    dsp
        DSPs to use at most.
    bram18
        18-kbit block RAMs to use at most.
    lut
        LUTs to use at most.
    clock
        Clock to plan for, in MHz.
    headroom
        Percent of the device to leave free.
    io
        What the networks' inputs and outputs are: frames in the board's memory (dram), as usual
        where it has one, or streams at the top (stream), as on boards without.
    bandwidth
        Of the memory to use at most, in GB/s.
    schedule
        How memory ports serve their streams: by tables that are solved and proven, or in turn.
    policy
        Whether networks share the memory's bandwidth, or are planned as if each had all of it.
    plan_only
        Decide everything, and write no Verilog.
    force
        Replace a build that is there.
    json
        Print the report as JSON.
    """
    from fcnnx.building import build as build_accelerator

    with _steps() as steps:
        result = build_accelerator(
            models, board=board, out=out, calibration=calibration, shapes=shape, targets=targets,
            objective=objective, dsp=dsp, bram18=bram18, lut=lut, clock=clock, headroom=headroom,
            io=io, bandwidth=bandwidth, schedule=schedule, policy=policy, plan_only=plan_only,
            force=force, progress=steps)
    if json:
        _print_json(result.report)
    else:
        terminal.show_report(result.report, result.folder)
    return DONE


@app.command
def simulate(folder: pathlib.Path, /, *, inputs: pathlib.Path | None = None,
             outputs: pathlib.Path | None = None, frames: int | None = None,
             stalls: int | None = None, waves: pathlib.Path | None = None,
             simulator: Literal["verilator", "icarus"] = "verilator", json: Flag = False) -> int:
    """Prove a build: run its Verilog, and compare with the golden model.

    Parameters
    ----------
    folder
        What `fcnnx build` made.
    inputs
        An npz file with arrays NETWORK/TENSOR, or TENSOR where there is one network; random frames
        where it is left out.
    outputs
        Where to write the outputs, likewise.
    frames
        Frames of each network; those of the inputs, or 8.
    stalls
        Seed of random stalls at both ends of the accelerator.
    waves
        Where to write all signals, as an FST file.
    simulator
        verilator, or icarus where it is installed.
    json
        Print simulation.json.
    """
    from fcnnx.simulating import simulate as simulate_build

    with _steps() as steps:
        result = simulate_build(folder, inputs=inputs, outputs=outputs, frames=frames,
                                stalls=stalls, waves=waves, simulator=simulator, progress=steps)
    if json:
        _print_json(result.report)
    else:
        terminal.show_simulation(result.report, result.predicted)
    for difference in result.differences:
        Console(stderr=True).print(difference, markup=False, soft_wrap=True)
    return DONE if result.exact else NO


@app.command
def synth(folder: pathlib.Path, /, *, board: str | None = None, paths: Flag = False,
          route: Flag = False, timeout: float | None = None, json: Flag = False) -> int:
    """Count what a build takes: Yosys, each distinct module once.

    Parameters
    ----------
    folder
        What `fcnnx build` made.
    board
        Another board of the same family, on which it is to fit.
    paths
        Find the longest path of each module, on the ECP5.
    route
        Place and route the whole design with nextpnr, on the ECP5: how fast its clock may be.
    timeout
        Seconds that one module may take, and placing and routing the whole design.
    json
        Print synthesis.json.
    """
    from fcnnx.synthesis.build import synthesise_build

    with _steps() as steps:
        result = synthesise_build(folder, board=board, paths=paths, route=route,
                                  timeout=timeout, progress=steps)
    if json:
        _print_json(result.report)
    else:
        terminal.show_synthesis(result.report)
    return DONE


@app.command
def report(folder: pathlib.Path, /, *, json: Flag = False) -> int:
    """Show what a build costs and how fast it is; report.html in its folder has the pictures.

    Parameters
    ----------
    folder
        What `fcnnx build` made.
    json
        Print report.json.
    """
    from fcnnx.building import read_report

    content = read_report(folder)
    if json:
        _print_json(content)
    else:
        terminal.show_report(content, folder, stages=True)
    return DONE


@app.command
def boards(*, json: Flag = False) -> int:
    """List the boards, with what they have.

    Parameters
    ----------
    json
        Print JSON.
    """
    from fcnnx import boards as known

    rows = [{"board": board.name, "description": board.description, "device": board.device.name,
             **dict(board.device.resources.items()), "dram_gbps": board.dram_gbps,
             "clock_mhz": board.device.clock_mhz, "io": board.usual_io}
            for board in map(known.get, known.names())]
    if json:
        _print_json(rows)
    else:
        terminal.show_boards(rows)
    return DONE


@app.command
def ops(*, json: Flag = False) -> int:
    """List the ONNX operators that are supported, with their limits.

    Parameters
    ----------
    json
        Print JSON.
    """
    from fcnnx.frontend import supported

    rows = dict(supported())
    if json:
        _print_json(rows)
    else:
        terminal.show_operators(rows)
    return DONE


@app.command
def doctor(*, json: Flag = False) -> int:
    """Look for what fcnnx needs on this machine; exit code 1 where something is missing.

    Parameters
    ----------
    json
        Print JSON.
    """
    from fcnnx.doctor import examine

    findings = list(examine())
    if json:
        _print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        terminal.show_findings(findings)
    return DONE if all(finding.found for finding in findings if finding.needed) else NO


def _steps() -> Steps:
    return Steps(Console(stderr=True))


def _print_json(content: object) -> None:
    print(json.dumps(content, indent=1))
