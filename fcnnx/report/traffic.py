"""What crosses the memory: the figures of a plan's schedule."""

from typing import Any

from fcnnx.plan import Plan


__all__ = ["dram_bytes", "schedule"]


def dram_bytes(plan: Plan, network: str) -> int:
    """Bytes that a network moves for each frame, whole bursts."""
    memory = plan.accelerator.memory
    if memory is None:
        return 0
    return sum(each.words * memory.axi.word_bytes for engine in memory.engines
               if engine.engine == network for each in engine.streams if each.kind != "load")


def schedule(plan: Plan) -> dict[str, Any] | None:
    """How the memory's ports serve their streams; None where there is no memory."""
    memory, found = plan.accelerator.memory, plan.schedule
    if memory is None or found is None or plan.memory is None:
        return None
    ports = [port for port in found.ports if port.streams]
    return {
        "policy": "cyclic" if any(port.table for port in ports) else "round-robin",
        "period_cycles": max(port.period for port in ports),
        "utilisation": found.utilisation,
        "word_bytes": memory.axi.word_bytes,
        "words_per_cycle": plan.memory.words_per_cycle,
        "latency_cycles": [plan.memory.latency, plan.memory.latency + plan.memory.jitter],
        "refresh_cycles": [plan.memory.refresh_cycles, plan.memory.refresh_interval],
        "paces": {engine.engine: engine.pace for engine in memory.engines},
        "buffers": {engine.engine: engine.buffers for engine in memory.engines},
        "ports": [{
            "period_cycles": port.period, "outstanding": port.outstanding,
            "table": list(port.table),
            "streams": [{
                "name": each.name, "network": each.network, "direction": each.direction,
                "burst": each.burst, "slots": each.slots, "places": each.places,
                "words_per_frame": each.words, "interval_cycles": each.interval,
                "latency_cycles": each.latency,
                "rate": each.words / each.interval if each.interval else 0.0,
                "guaranteed": each.guaranteed} for each in port.streams],
        } for port in ports],
        "proven": list(found.checked),
    }
