"""One run of an accelerator: what left it, and when."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fcnnx.cosim import icarus, verilator
from fcnnx.cosim.job import Job
from fcnnx.cosim.system import MemoryRun
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine


__all__ = ["Measurement", "Run", "measure", "run"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What happened at the ports of an accelerator.

    Parameters
    ----------
    accelerator : :class:`Accelerator`
    simulator : :class:`str`
    outputs : arrays, shape (frames, rows, columns, channels), by engine and output
        At least the frames that were wanted.
    transfers : integers, by name of the port
        Cycle of each beat, counted from the end of the reset.
    cycles : :class:`int`
        Of the whole run.
    seconds : :class:`float`
        Of the whole run, the making of the simulator included.
    """

    accelerator: Accelerator
    simulator: str
    outputs: dict[tuple[str, str], np.ndarray]
    transfers: dict[str, np.ndarray]
    cycles: int
    seconds: float

    def frames(self, engine: str) -> int:
        """Whole frames that have left an engine."""
        return min(len(frames) for (name, _), frames in self.outputs.items() if name == engine)

    def frame_times(self, engine: Engine) -> tuple[np.ndarray, np.ndarray]:
        """Cycles of the first beat into an engine, and of the last out of it, of each frame that
        has left it."""
        count = self.frames(engine.name)
        inputs = self.accelerator.ports_of(engine, "input")
        outputs = self.accelerator.ports_of(engine, "output")
        begins = np.min([self.transfers[port.name][::port.shape.beats][:count]
                         for port in inputs], axis=0)
        ends = np.max([self.transfers[port.name][port.shape.beats - 1::port.shape.beats][:count]
                       for port in outputs], axis=0)
        return begins, ends

    def starved_cycles(self, engine: str) -> int:
        """Nothing starves an engine but who drives its streams."""
        return 0

    @property
    def memory(self) -> dict[str, float]:
        """What crossed the memory: there is none."""
        return {"bytes": 0, "busy_cycles": 0, "utilisation": 0, "underruns": 0}


def run(folder: Path, accelerator: Accelerator, inputs: Mapping[tuple[str, str], np.ndarray],
        frames: Mapping[str, int], *, stalls: int | None = None, waves: Path | None = None,
        simulator: str = "verilator", progress: Callable[[str], None] = lambda step: None,
        patience: int = 2_000_000) -> Run:
    """Run a design with all its networks at once, frames back to back.

    Parameters
    ----------
    folder : path
        Holds ``rtl``, as :func:`fcnnx.generate.generate` wrote it for this accelerator.
    inputs : integers, shape (frames, rows, columns, channels), by engine and input
        When they are used up they come again, until the last network is ready.
    frames : integers by engine
        Frames that must leave it.
    stalls : :class:`int` or None
        Seed of random stalls at every port; None: beats are offered and taken as soon as may be.
    waves : path or None
        Where to write an FST of all signals; with Verilator.
    simulator : :class:`str`
        ``"verilator"`` or ``"icarus"``.
    progress : callable
        Is told each step.
    patience : :class:`int`
        Cycles without an output after which a network hangs.

    Raises
    ------
    BadInput
        If the simulator cannot be made, or a memory file is missing.
    TargetMissed
        If a network hangs.
    """
    start = time.monotonic()
    simulate = {"verilator": verilator.simulate, "icarus": icarus.simulate}[simulator]
    with tempfile.TemporaryDirectory(prefix="fcnnx-") as work:
        job = Job(accelerator=accelerator, rtl=Path(folder).absolute() / "rtl", work=Path(work),
                  frames=frames, stalls=stalls, waves=waves and Path(waves).absolute(),
                  patience=patience)
        job.write_inputs(inputs)
        cycles = simulate(job, progress)
        return Run(accelerator=accelerator, simulator=simulator, cycles=cycles,
                   outputs=job.read_outputs(), transfers=job.read_transfers(),
                   seconds=time.monotonic() - start)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """Times of one engine, in cycles.

    Parameters
    ----------
    interval : :class:`int` or None
        From the last output of a frame to that of the next, in steady state; None of one frame.
    mean : :class:`float` or None
        Likewise, the mean over the second half of the run, where frames may differ.
    latency : :class:`int`
        From the first input of the first frame to its last output.
    longest : :class:`int`
        Likewise, of the frame that took longest.
    """

    interval: int | None
    mean: float | None
    latency: int
    longest: int


def measure(result: Run | MemoryRun) -> dict[str, Measurement]:
    """Times of each engine.

    The interval is the last one that equals the one before it; where there is none, the mean over
    the second half of the run.
    """
    measurements = {}
    for engine in result.accelerator.engines:
        begins, ends = result.frame_times(engine)
        steps = np.diff(ends)
        mean = round(float(steps[len(steps) // 2:].mean()), 2) if len(steps) else None
        measurements[engine.name] = Measurement(interval=_interval(steps), mean=mean,
                                                latency=int(ends[0] - begins[0]),
                                                longest=int((ends - begins).max()))
    return measurements


def _interval(steps: np.ndarray) -> int | None:
    if not len(steps):
        return None
    equal = np.flatnonzero(steps[1:] == steps[:-1])
    if len(equal):
        return int(steps[equal[-1]])
    return round(float(steps[len(steps) // 2:].mean()))
