"""What crosses the memory: the figures of a plan's schedule."""

from typing import Any

from fcnnx.hdl.system import MemorySystem
from fcnnx.plan import Plan
from fcnnx.schedule import StreamSchedule


__all__ = ["dram_bytes", "schedule"]


def dram_bytes(plan: Plan, network: str) -> int:
    """Bytes that a network moves for each frame, whole bursts."""
    memory = plan.accelerator.memory
    if memory is None:
        return 0
    return sum(each.words * memory.axi.word_bytes for engine in memory.engines
               if engine.engine == network for each in engine.streams if each.kind != "load")


def schedule(plan: Plan) -> dict[str, Any] | None:
    """How the memory's ports serve their streams; None where there is no memory.

    ``words_per_cycle`` are what the memory gives, or a port, refreshes not taken off;
    ``utilisation`` is the share of it that is used outside of them, as simulations measure it;
    ``level`` of a stream is what its queue holds at least, and at most, where that is proven;
    of ``stripes`` of one stream, each port has every so many-th burst of a frame;
    ``images`` say which part of dram.bin is behind each network's base address of weights.
    """
    memory, found, timing = plan.accelerator.memory, plan.schedule, plan.memory
    if memory is None or found is None or timing is None:
        return None
    ports = [port for port in found.ports if port.streams]
    return {
        "policy": "cyclic" if any(port.table for port in ports) else "round-robin",
        "period_cycles": max(port.period for port in ports),
        "utilisation": sum(map(_rate, found.streams)) / timing.derated,
        "word_bytes": memory.axi.word_bytes,
        "words_per_cycle": timing.words_per_cycle,
        "latency_cycles": [timing.latency, timing.latency + timing.jitter],
        "refresh_cycles": [timing.refresh_cycles, timing.refresh_interval],
        "turnaround_cycles": timing.turnaround,
        "paces": {engine.engine: engine.pace for engine in memory.engines},
        "buffers": {engine.engine: engine.buffers for engine in memory.engines},
        "images": _images(memory),
        "ports": [{
            "period_cycles": port.period, "outstanding": port.outstanding,
            "words_per_cycle": timing.share, "table": list(port.table),
            "streams": [{
                "name": each.name, "network": each.network, "direction": each.direction,
                "stripe": each.stripe, "stripes": each.stripes,
                "burst": each.burst, "slots": each.slots, "places": each.places,
                "words_per_frame": each.words, "interval_cycles": each.interval,
                "latency_cycles": each.latency, "rate": _rate(each),
                "guaranteed": each.guaranteed, "level": _level(each)}
                for each in port.streams],
        } for port in ports],
        "proven": list(found.checked),
    }


def _level(stream: StreamSchedule) -> list[int] | None:
    """The least and greatest words of its queue that are proven; None where nothing is."""
    if not stream.needed:
        return None
    return ([stream.places - stream.needed, stream.places] if stream.direction == "read"
            else [0, stream.needed])


def _images(memory: MemorySystem) -> dict[str, dict[str, int]]:
    """Offset and bytes of each network's part of the image: one after the other."""
    images, offset = {}, 0
    for engine in memory.engines:
        count = memory.weight_bytes(engine)
        images[engine.engine] = {"offset": offset, "bytes": count}
        offset += count
    return images


def _rate(stream: StreamSchedule) -> float:
    """Words per cycle that its network takes; 0 of what is read once."""
    return stream.words / stream.interval if stream.interval else 0.0
