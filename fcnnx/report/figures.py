"""report.json: every figure of a plan, under names that other tools read."""

from typing import Any

from fcnnx import boards, metrics
from fcnnx.hdl.accelerator import AcceleratorPort
from fcnnx.hdl.device import KINDS, Resources
from fcnnx.hdl.engine import Engine
from fcnnx.hdl.operator import Operator
from fcnnx.network import Port
from fcnnx.plan import FrontPoint, NetworkPlan, Plan, StagePlan

from .measured import with_measurements
from .pipeline import folding, memory_bits, streams
from .traffic import dram_bytes, schedule


__all__ = ["report"]


def report(plan: Plan) -> dict[str, Any]:
    """The report of a plan, as JSON holds it; nothing is measured yet."""
    return with_measurements(_planned(plan), None, None)


def _planned(plan: Plan) -> dict[str, Any]:
    progress = {network.name: network.progress for network in plan.networks}
    rates = {network.name: network.frames_per_second(plan.clock_mhz) for network in plan.networks}
    latencies = [(network.latency_cycles / plan.clock_mhz / 1e3, network.target_latency_ms)
                 for network in plan.networks if network.target_latency_ms is not None]
    budget_gbps = boards.get(plan.board).bandwidth_gbps(plan.clock_mhz)
    if plan.memory is not None:
        budget_gbps = (plan.memory.words_per_cycle * plan.memory.word_bytes * plan.clock_mhz / 1e3)
    return {
        "board": plan.board,
        "device": plan.device.name,
        "clock_mhz": plan.clock_mhz,
        "clock": "assumed",
        "plan": plan.digest,
        "networks": {network.name: _network(plan, network, engine) for network, engine
                     in zip(plan.networks, plan.accelerator.engines, strict=True)},
        "total": _amounts(plan.resources) | {"dram_gbps": sum(
            dram_bytes(plan, network.name) * rates[network.name] / 1e9
            for network in plan.networks)},
        "memory": _amounts(plan.memory_resources),
        "budget": _amounts(plan.budget) | {"dram_gbps": budget_gbps},
        "available": _amounts(plan.device.resources),
        "schedule": schedule(plan),
        "metrics": {
            "stp": metrics.stp(progress),
            "stp_fps": metrics.stp_fps(rates),
            "antt": metrics.antt(progress),
            "fairness": metrics.fairness(progress),
            "fairness_weighted": metrics.fairness_weighted(
                progress, {network.name: network.weight for network in plan.networks}),
            "violation_rate": metrics.violation_rate([latency for latency, _ in latencies],
                                                     [target for _, target in latencies]),
        },
        "optimizer": {"objective": plan.objective, "gap": plan.gap,
                      "seconds": round(plan.seconds, 3)},
        "warnings": _warnings(plan, progress),
    }


def _amounts(resources: Resources) -> dict[str, float]:
    return dict(resources.items())


def _network(plan: Plan, network: NetworkPlan, engine: Engine) -> dict[str, Any]:
    return {
        "macs": network.macs,
        "multipliers": network.multipliers,
        **_amounts(network.resources),
        "dram_bytes_per_frame": dram_bytes(plan, network.name),
        "interval_cycles": network.interval_cycles,
        "latency_cycles": network.latency_cycles,
        "frames_per_second": network.frames_per_second(plan.clock_mhz),
        "latency_ms": network.latency_cycles / plan.clock_mhz / 1e3,
        "mac_efficiency": network.macs / max(1, network.multipliers * network.interval_cycles),
        "alone_cycles": network.alone_cycles,
        "ntt": 1 / network.progress,
        "weight": network.weight,
        "target_fps": network.target_fps,
        "target_latency_ms": network.target_latency_ms,
        "bottleneck": network.bottleneck,
        "bound": _bound(plan, network),
        "front": [_point(point) for point in network.front],
        "stages": [_stage(stage, placed.operator) for stage, placed
                   in zip(network.stages, engine.stages, strict=True)],
        "streams": streams(engine),
        "ports": _ports(plan, network),
    }


def _point(point: FrontPoint) -> dict[str, Any]:
    return {"interval_cycles": point.interval_cycles, **_amounts(point.resources)}


def _bound(plan: Plan, network: NetworkPlan) -> dict[str, Any]:
    """What keeps a network from being faster: what the next faster foldings need, of what the
    other networks and the memory side leave."""
    others = [each.resources for each in plan.networks if each is not network]
    used = sum(others, plan.memory_resources)
    left = dict((plan.budget - used).items())
    needs = None if network.faster is None else _point(network.faster)
    short = {} if needs is None else {kind: needs[kind] - left[kind] for kind in KINDS
                                      if needs[kind] > left[kind]}
    return {"left": left, "faster": needs, "short": short}


def _stage(stage: StagePlan, operator: Operator) -> dict[str, Any]:
    return {"name": stage.name, "op": stage.operation, "folding": folding(operator),
            "interval_cycles": stage.interval_cycles, "stall_share": stage.stall_share,
            "macs": stage.macs, "multipliers": stage.multipliers,
            **_amounts(stage.resources), "memory_bits": memory_bits(operator)}


def _ports(plan: Plan, network: NetworkPlan) -> list[dict[str, Any]]:
    """Where the network's tensors cross; weights that are streamed are none of them."""
    tensors = {("input", port.tensor): port for port in network.inputs}
    tensors |= {("output", port.tensor): port for port in network.outputs}
    return [_port(port, tensors[port.direction, port.stream]) for port in plan.accelerator.ports
            if port.engine == network.name and (port.direction, port.stream) in tensors]


def _port(port: AcceleratorPort, tensor: Port) -> dict[str, Any]:
    return {"direction": port.direction, "tensor": tensor.tensor, "port": port.name,
            "width": tensor.map.width, "signed": tensor.map.signed, "lanes": port.shape.lanes,
            "pixels": port.shape.pixels, "shape": list(tensor.shape), "axes": list(tensor.axes)}


def _warnings(plan: Plan, progress: dict[str, float]) -> list[str]:
    warnings = [*plan.warnings]
    if metrics.stp(progress) < 1:
        warnings.append("Sharing the device in time, one network after another, would serve these "
                        f"networks better: STP is {metrics.stp(progress):.3f}, under 1.")
    return warnings + [f"{network.name}: {warning}" for network in plan.networks
                       for warning in network.warnings]
