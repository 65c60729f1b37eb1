"""Builds of a joint plan with one part of its mechanism switched off, as tools for users have none.

``order``: ports serve in turn, frames come at their pace. ``pace``: engines run as they can, ports
serve by their tables, in which loads come more often. ``placement``: weights are streamed where the
unaware plan streams them, and nowhere else. ``multipliers``: no stage has more than the unaware
plan gives it.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from fcnnx import boards, folder
from fcnnx.building import MODELS, write
from fcnnx.frontend import import_models
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine
from fcnnx.hdl.operator import Operator
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.hdl.system import MemorySystem
from fcnnx.optimizer import plan
from fcnnx.optimizer.memory import spread
from fcnnx.options import model_sources
from fcnnx.plan import Plan
from fcnnx.report import figures


__all__ = ["ABLATIONS", "build"]

SLOTS_BETWEEN_LOADS = 8


def build(part: str, joint: pathlib.Path, unaware: pathlib.Path, out: pathlib.Path, *,
          caps: Mapping[str, int], bandwidth: float) -> dict[str, Any]:
    """Build without one of :data:`ABLATIONS`; gives the report.

    Parameters
    ----------
    part : :class:`str`
    joint, unaware : paths
        Builds of both plans.
    out : path
        Of this one; what is there is replaced.
    caps, bandwidth : those of both builds
    """
    made = ABLATIONS[part](joint, unaware, caps, bandwidth)
    report = figures.report(made) | {"plan_only": False, "reproduction": None}
    with folder.in_use(out, writing=True), folder.new_build(out, force=True) as partial:
        write(made, report, partial, models={
            path.stem: path.read_bytes() for path in (joint / MODELS).glob("*.onnx")})
    return report


def _in_turn(joint: pathlib.Path, *_: Any) -> Plan:
    return _with_memory(Plan.load(joint), lambda memory: dataclasses.replace(memory, ports=tuple(
        dataclasses.replace(port, table=()) for port in memory.ports)))


def _without_pace(joint: pathlib.Path, *_: Any) -> Plan:
    def freed(memory: MemorySystem) -> MemorySystem:
        return dataclasses.replace(
            memory, engines=tuple(
                dataclasses.replace(engine, pace=0, streams=tuple(
                    dataclasses.replace(each, spread=0) for each in engine.streams))
                for engine in memory.engines),
            ports=tuple(dataclasses.replace(port, table=_with_loads(port.table, tuple(
                each.number for engine in memory.engines for each in engine.of_kind("load")
                if each.port == k))) for k, port in enumerate(memory.ports)))
    return _with_memory(Plan.load(joint), freed,
                        functools.partial(spread, pace=0))


def _with_loads(table: tuple[int, ...], loads: tuple[int, ...]) -> tuple[int, ...]:
    """Serving what is loaded ever so often: a load takes what engines leave, a slot a table, and
    engines without pace leave nothing. When all is loaded those slots are passed over."""
    return tuple(slot for k, each in enumerate(table)
                 for slot in (each, *(loads if k % SLOTS_BETWEEN_LOADS == 0 else ())))


def _with_memory(made: Plan, change: Callable[[MemorySystem], MemorySystem],
                 each: Callable[[Engine], Engine] = lambda engine: engine) -> Plan:
    whole = made.accelerator
    assert whole.memory is not None
    return dataclasses.replace(made, accelerator=Accelerator(
        engines=tuple(map(each, whole.engines)), memory=change(whole.memory)))


def _placed_alike(joint: pathlib.Path, unaware: pathlib.Path, caps: Mapping[str, int],
                  bandwidth: float) -> Plan:
    streams = {key: isinstance(chain[0], StreamedConvolution)
               for key, chain in _foldings(unaware).items()}
    return _replanned(joint, caps, bandwidth, lambda network, stage, chain: isinstance(
        chain[0], StreamedConvolution) == streams[network, stage])


def _shared_alike(joint: pathlib.Path, unaware: pathlib.Path, caps: Mapping[str, int],
                  bandwidth: float) -> Plan:
    most = {key: chain[0].multipliers for key, chain in _foldings(unaware).items()}
    return _replanned(joint, caps, bandwidth, lambda network, stage, chain: (
        chain[0].multipliers <= most[network, stage]))


def _foldings(place: pathlib.Path) -> dict[tuple[str, str], tuple[Operator, ...]]:
    """What each stage of a plan's networks became, by network and stage."""
    found = {}
    for engine in Plan.load(place).accelerator.engines:
        stages = {stage.name: stage for stage in engine.stages}
        for stage in engine.stages:
            first = stages.get(stage.inputs[0].name)
            streamed = first is not None and isinstance(first.operator, StreamedConvolution)
            found[engine.name, stage.name] = (
                (first.operator, stage.operator) if first is not None and streamed
                and first.name.startswith(f"{stage.name}_streamed") else (stage.operator,))
    return found


def _replanned(joint: pathlib.Path, caps: Mapping[str, int], bandwidth: float,
               allowed: Callable[[str, str, tuple[Operator, ...]], bool]) -> Plan:
    before = Plan.load(joint)
    models = {network.name: joint / MODELS / f"{network.name}.onnx" for network in before.networks}
    networks = [each.network for each in import_models(model_sources(models))]
    return plan(networks, boards.get(before.board), caps=caps, io="dram",
                bandwidth_gbps=bandwidth, allowed=allowed)


ABLATIONS: dict[str, Callable[[pathlib.Path, pathlib.Path, Mapping[str, int], float], Plan]] = {
    "order": _in_turn, "pace": _without_pace, "placement": _placed_alike,
    "multipliers": _shared_alike}
