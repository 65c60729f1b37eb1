"""What is given to a simulator, and what it leaves."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fcnnx.cosim.beats import from_words, to_words, words_of
from fcnnx.errors import Problem, TargetMissed
from fcnnx.hdl.accelerator import Accelerator


__all__ = ["STALL_SHARE", "Job"]


STALL_SHARE = 0.3  # of the cycles of a port


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One simulation. Files in ``work`` are named by the number of a port: ``.in`` holds the words
    of its beats, ``.out`` likewise, ``.cycles`` the cycle of each transfer in 64 bits.

    Parameters
    ----------
    accelerator : :class:`Accelerator`
    rtl : path
        Its Verilog; where the names of memory files hold.
    work : path
        An empty folder.
    frames : integers by engine
    stalls, waves, patience
        As in :func:`fcnnx.cosim.simulation.run`.
    """

    accelerator: Accelerator
    rtl: Path
    work: Path
    frames: Mapping[str, int]
    stalls: int | None
    waves: Path | None
    patience: int

    @property
    def engines(self) -> list[str]:
        """Their names, in order."""
        return [engine.name for engine in self.accelerator.engines]

    @property
    def wanted(self) -> list[int]:
        """Frames of each engine."""
        return [self.frames[name] for name in self.engines]

    @property
    def sources(self) -> list[Path]:
        """The Verilog files."""
        return sorted(self.rtl.glob("*.v"))

    def write_inputs(self, inputs: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Leave frames, by engine and input, where the simulator looks for them."""
        for k, port in enumerate(self.accelerator.ports):
            if port.direction == "input":
                words = to_words(port.shape, inputs[port.engine, port.stream])
                words.tofile(self.work / f"{k}.in")

    def read_outputs(self) -> dict[tuple[str, str], np.ndarray]:
        """Whole frames by engine and output."""
        outputs = {}
        for k, port in enumerate(self.accelerator.ports):
            if port.direction == "output":
                words = np.fromfile(self.work / f"{k}.out", "<u4")
                words = words.reshape(-1, words_of(port.shape))
                whole = len(words) // port.shape.beats * port.shape.beats
                outputs[port.engine, port.stream] = from_words(port.shape, words[:whole])
        return outputs

    def read_transfers(self) -> dict[str, np.ndarray]:
        """Cycles by port."""
        return {port.name: np.fromfile(self.work / f"{k}.cycles", "<u8").astype(np.int64)
                for k, port in enumerate(self.accelerator.ports)}

    def hang(self, engines: Mapping[int, int]) -> TargetMissed:
        """The error that networks have stood still since a cycle."""
        return TargetMissed(*(Problem(
            where=self.engines[k],
            reason=f"The network hangs: no output in the {self.patience} cycles after cycle "
                   f"{cycle}.") for k, cycle in engines.items()))
