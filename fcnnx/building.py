"""From models to a build folder."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fcnnx import boards, folder
from fcnnx.errors import BadInput, Problem
from fcnnx.frontend import import_models
from fcnnx.generate import generate
from fcnnx.optimizer import Target, check_io, plan
from fcnnx.options import Named, PathLike, model_sources
from fcnnx.plan import Plan
from fcnnx.report import figures
from fcnnx.report.files import REPORT, texts
from fcnnx.report.reproduction import reproduction


__all__ = ["Build", "Progress", "build", "check", "read_report", "silent", "write"]

MODELS = "models"

Progress = Callable[[str], None]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """What a build left.

    Parameters
    ----------
    folder : path
    report : mapping
        As in report.json.
    """

    folder: pathlib.Path
    report: dict[str, Any]


def silent(step: str) -> None:
    """Progress that nobody watches."""


def check(models: Named, *, shapes: Named = (),
          progress: Progress = silent) -> dict[str, dict[str, Any]]:
    """What models are, by network.

    Parameters
    ----------
    models, shapes : as in :func:`build`

    Raises
    ------
    BadInput
        With all problems of all models.
    """
    sources = model_sources(models, shapes=shapes)
    progress("Importing the models")
    return {source.name: {"model": str(source.path), "stages": len(imported.network.stages),
                          "macs": imported.network.macs,
                          "float": imported.float_model,
                          "warnings": list(imported.network.warnings)}
            for source, imported in zip(sources, import_models(sources), strict=True)}


def build(models: Named, *, board: str, out: PathLike | None = None, calibration: Named = (),
          shapes: Named = (), targets: Named = (), objective: str = "throughput",
          dsp: int | None = None, bram18: int | None = None, lut: int | None = None,
          clock: float | None = None, headroom: float = 0.0, io: str | None = None,
          bandwidth: float | None = None, schedule: str = "cyclic",
          policy: str = "joint", plan_only: bool = False, force: bool = False,
          progress: Progress = silent) -> Build:
    """Make one accelerator of some networks, in a folder of its own.

    Parameters
    ----------
    models : paths of ONNX files, or mapping of the networks' names to them
    board : :class:`str`
        A board's name.
    out : path or None
        The folder; ``build/NAMES`` where it is None.
    calibration : arrays by input, or npz files with them, by network
        Typical inputs of float models, first axis samples.
    shapes : sizes by ``NETWORK/INPUT``, or ``INPUT`` of a single network
        For inputs whose sizes the model leaves open.
    targets : ``"30fps"``, ``"10ms"`` or a weight, by network
    objective : ``"throughput"``, ``"fairness"`` or ``"resources"``
    dsp, bram18, lut : :class:`int` or None
        To use at most; all that the device has where they are None.
    clock : :class:`float` or None
        In MHz; the board's own where it is None.
    headroom : :class:`float`
        Percent of the device to leave free.
    io : ``"dram"``, ``"stream"`` or None
        Inputs and outputs cross the board's memory, or are streams at the top; None: they cross
        the memory where the board has one.
    bandwidth : :class:`float` or None
        Of the memory to use at most, in GB/s.
    schedule : ``"cyclic"`` or ``"round-robin"``
        How memory ports serve their streams: by tables that are proven, or in turn.
    policy : ``"joint"`` or ``"unaware"``
        Whether networks share the memory's bandwidth, or are planned as if each had all of it.
    plan_only : :class:`bool`
        Decide everything, and write no Verilog.
    force : :class:`bool`
        Replace a build that is there.
    progress : callable
        Is told each step.

    Raises
    ------
    BadInput
        With all that is wrong; nothing is written then.
    TargetMissed
        If a target cannot be met, likewise.
    """
    problems: list[Problem] = []
    sources = _attempt(problems, model_sources, models, calibration, shapes) or ()
    chosen = _attempt(problems, boards.get, board)
    wanted = _attempt(problems, _targets, targets)
    _attempt(problems, check_io, chosen, io, bandwidth, schedule)
    if problems or chosen is None or wanted is None:
        raise BadInput(*problems)
    options = {"models": models, "board": board, "out": out, "calibration": calibration,
               "shape": shapes, "targets": targets, "objective": objective, "dsp": dsp,
               "bram18": bram18, "lut": lut, "clock": clock, "headroom": headroom or None,
               "io": io or chosen.usual_io, "bandwidth": bandwidth, "schedule": schedule,
               "policy": policy, "plan_only": plan_only}
    given = {"dsp": dsp, "bram18": bram18, "lut": lut}
    caps = {kind: cap for kind, cap in given.items() if cap is not None}
    place = pathlib.Path(out or pathlib.Path("build") / "_".join(each.name for each in sources))
    with folder.in_use(place, writing=True):
        if taken := folder.check_target(place, force=force):
            raise BadInput(*taken)
        progress("Importing the models")
        imported = import_models(sources)
        decided = plan([each.network for each in imported], chosen, targets=wanted,
                       objective=objective, caps=caps, headroom_percent=headroom,
                       clock_mhz=clock, io=io, bandwidth_gbps=bandwidth, schedule=schedule,
                       policy=policy, progress=progress)
        report = figures.report(decided) | {"plan_only": plan_only, "reproduction": reproduction(
            options, {source.name: source.path for source in sources})}
        with folder.new_build(place, force=force) as partial:
            write(decided, report, partial, models={each.network.name: each.model
                                                    for each in imported}, progress=progress)
    return Build(folder=place, report=report)


def write(decided: Plan, report: dict[str, Any], place: pathlib.Path, *,
          models: Mapping[str, bytes], progress: Progress = silent) -> None:
    """Write a build's files into an empty folder; no Verilog where the report is of a plan only.

    Parameters
    ----------
    decided : :class:`Plan`
    report : mapping
        The plan's, as :func:`fcnnx.report.figures.report` makes it, with ``plan_only``.
    place : path
    models : ONNX files by the networks' names
    progress : callable
        Is told each step.
    """
    progress("Writing the build")
    decided.save(place)
    (place / MODELS).mkdir()
    for name, model in models.items():
        (place / MODELS / f"{name}.onnx").write_bytes(model)
    if not report["plan_only"]:
        progress("Generating the Verilog")
        generate(decided.accelerator, place, decided.digest)
    progress("Drawing the report")
    for name, text in texts(report).items():
        (place / name).write_text(text, encoding="utf-8")


def _attempt(problems: list[Problem], make: Callable[..., T], *arguments: Any) -> T | None:
    """What a function gives, or None, and its problems with the others."""
    try:
        return make(*arguments)
    except BadInput as error:
        problems += error.problems
        return None


def _targets(given: Named) -> list[Target]:
    texts = [f"{name}={value}" for name, value in given.items()] if isinstance(given, Mapping) \
        else given
    problems: list[Problem] = []
    targets = [_attempt(problems, Target.parse, text) for text in texts]
    if problems:
        raise BadInput(*problems)
    return [target for target in targets if target is not None]


def read_report(build: PathLike) -> dict[str, Any]:
    """The report of a build that is as it was written.

    Raises
    ------
    BadInput
        If there is no build, or it was edited.
    """
    place = pathlib.Path(build)
    folder.verify(place)
    return json.loads((place / REPORT).read_text())
