"""How full the queues of streams are while they are simulated, as the harness counts."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine
from fcnnx.hdl.system import SPILLED, WRITTEN, FrameStream, MemorySystem, region_bytes
from fcnnx.memory import MemoryTiming


__all__ = ["Levels", "StreamLevel", "describe_flows", "read_levels", "watched_signals"]


SAMPLES = 512  # of each stream's level
TURNS = 4  # of the longest table, and bursts of the slowest stream, that they are spread over


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamLevel:
    """What crossed a port for one stream, and the level of its queue: words that are there for the
    engine, or that wait for the memory; what stands between queue and engine included.

    Parameters
    ----------
    name : :class:`str`
        As the port has it.
    port : :class:`int`
    direction : :class:`str`
    bytes : :class:`int`
    least, greatest : :class:`int`
        Words, from the first frame on.
    samples : tuple of :class:`int`
        Words: of so many successive cycles each, the least of what is read, the greatest of what is
        written. None of what is read once.
    """

    name: str
    port: int
    direction: str
    bytes: int
    least: int
    greatest: int
    samples: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Levels:
    """Of all streams.

    Parameters
    ----------
    streams : tuple of :class:`StreamLevel`
    since : :class:`int`
        Cycle of the first sample, when a frame of every network is done; 0 if that never is.
    before : :class:`int`
        Bytes that all streams had moved until then.
    cycles : :class:`int`
        Of each sample.
    """

    streams: tuple[StreamLevel, ...]
    since: int
    before: int
    cycles: int

    def to_json(self) -> dict[str, object]:
        """What ``simulation.json`` holds of them."""
        return {"sampled_from": self.since, "sample_cycles": self.cycles,
                "streams": [dataclasses.asdict(each) | {"samples": list(each.samples)}
                            for each in self.streams]}


def watched_signals(accelerator: Accelerator) -> str:
    """Verilator's configuration: the signals at the ends of engines, which are seen from outside
    without a change to the design."""
    lines = ["`verilator_config"]
    for engine in accelerator.engines:
        for name in _ends(engine).values():
            lines += [f'public_flat_rd -module "{accelerator.module_names[engine.name]}" '
                      f'-var "{name}__{signal}"' for signal in ("valid", "ready")]
    return "\n".join(lines) + "\n"


def _ends(engine: Engine) -> dict[str, str]:
    """The names of an engine's ports, by the streams that cross them."""
    return ({name: f"i_{k}" for k, (name, _) in enumerate(engine.inputs)}
            | {name: f"o_{k}" for k, (name, _) in enumerate(engine.outputs)})


def _flows(memory: MemorySystem) -> Iterator[tuple[int, FrameStream, int]]:
    """All streams, with the number of their engine, and of each of their stripes."""
    for number, engine in enumerate(memory.engines):
        for each in engine.streams:
            for stripe in range(len(each.places)):
                yield number, each, stripe


def describe_flows(accelerator: Accelerator, memory: MemorySystem, timing: MemoryTiming,
                   places: Mapping[tuple[str, str], int]) -> list[str]:
    """Lines of the harness' description.

    Parameters
    ----------
    accelerator : :class:`Accelerator`
    memory : :class:`MemorySystem`
        Its own.
    timing : :class:`MemoryTiming`
    places : addresses, by engine and stream
        Of the first buffer of each input and output, and of each engine's weights (``""``).
    """
    lines = []
    for number, each, stripe in _flows(memory):
        engine, streams = accelerator.engines[number], memory.engines[number]
        size = region_bytes(each.words, memory.axi)
        if each.kind in ("input", "output", *SPILLED):
            place, size = places[engine.name, each.stream], size * streams.buffers
        else:
            place = places[engine.name, ""] + each.offset
        first = sum(len(before.of_kind("input")) for before in memory.engines[:number])
        lines.append(" ".join(map(str, (
            "flow", number, first, each.places[stripe][0], int(each.kind not in WRITTEN), place,
            size, each.words, memory.stream_of(each).burst, stripe, len(each.places),
            *_end(accelerator, memory, engine, each)))))
    return [*lines, f"sample {_sample_cycles(memory, timing)} {SAMPLES}"]


def _sample_cycles(memory: MemorySystem, timing: MemoryTiming) -> int:
    """Cycles of a sample, so that all of them see what is to be seen."""
    period = max(sum(port.streams[k].burst for k in port.table) for port in memory.ports)
    slowest = max((memory.stream_of(each).burst * engine.pace / each.words
                   for engine in memory.engines
                   for each in (*engine.of_kind("input"), *engine.of_kind("weights"))), default=0)
    return math.ceil(TURNS * max(period / timing.share, slowest, SAMPLES) / SAMPLES)


def _end(accelerator: Accelerator, memory: MemorySystem, engine: Engine,
         each: FrameStream) -> tuple[int | str, ...]:
    """Beats of a frame, how they lie in words, and where they cross."""
    if each.kind == "load":
        return 0, 1, 1, "-", "-"
    shape = dict(engine.inputs).get(each.stream) or engine.shape(dict(engine.outputs)[each.stream])
    packing = memory.packing(each, shape)
    return (shape.beats, packing.beats_per_word, packing.words_per_beat,
            f"TOP.accelerator.{accelerator.module_names[engine.name]}", _ends(engine)[each.stream])


def read_levels(memory: MemorySystem, folder: Path, flows: Sequence[Sequence[int]],
                sampled: Sequence[int], timing: MemoryTiming) -> Levels:
    """What the harness left.

    Parameters
    ----------
    folder : path
        Of its files.
    flows : sequence of (number, words, least, greatest)
    sampled : pair of :class:`int`
        Cycle of the first sample, bytes until then.
    timing : :class:`MemoryTiming`
    """
    streams = []
    for (_, each, stripe), (k, words, least, greatest) in zip(_flows(memory), flows, strict=True):
        stream = memory.stream_of(each)
        samples = np.fromfile(folder / f"{k}.levels", "<i8")
        streams.append(StreamLevel(
            name=stream.name, port=each.places[stripe][0], direction=stream.direction,
            bytes=words * memory.axi.word_bytes, least=least, greatest=greatest,
            samples=tuple(samples.tolist())))
    since, before = sampled
    return Levels(streams=tuple(streams), since=since, before=before,
                  cycles=_sample_cycles(memory, timing))
