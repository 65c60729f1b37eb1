"""Whether an accelerator computes what the golden model does, and where it first does not."""

import dataclasses
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from fcnnx.cosim.beats import from_words, words_of
from fcnnx.cosim.simulation import Measurement, Run, measure, run
from fcnnx.cosim.system import MemoryRun, run_with_memory
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine, Source, run_stages
from fcnnx.memory import MemoryTiming


__all__ = ["Check", "Difference", "Golden", "SimulationResult", "check", "first_difference",
           "prove"]


Inputs = Mapping[tuple[str, str], np.ndarray]


class Golden(Protocol):
    """What says what is right: a network, or an engine."""

    def compute(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Outputs by name; arrays of shape (frames, rows, columns, channels)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What the comparison of one network's outputs gave.

    Parameters
    ----------
    frames, values, mismatches : :class:`int`
        Compared; values that were not as they should be.
    """

    frames: int
    values: int
    mismatches: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """The first value, in the order of the stages, that was not as it should be.

    Parameters
    ----------
    engine, stage : :class:`str`
    output, frame, row, column, channel : :class:`int`
        Which of the stage's outputs, and where in it.
    expected, found : :class:`int`
    """

    engine: str
    stage: str
    output: int
    frame: int
    row: int
    column: int
    channel: int
    expected: int
    found: int

    def __str__(self) -> str:
        stage = Source(self.stage, self.output)
        return (f"{self.engine}: The first layer that differs is {stage}: in frame {self.frame}, "
                f"row {self.row}, column {self.column}, channel {self.channel} it gave "
                f"{self.found} instead of {self.expected}.")


def check(result: Run | MemoryRun, inputs: Inputs,
          golden: Mapping[str, Golden]) -> dict[str, Check]:
    """Compare all whole frames that left each engine; inputs that came again are expected to give
    the same again."""
    checks = {}
    for engine in result.accelerator.engines:
        given = _inputs_of(engine, inputs)
        expected = golden[engine.name].compute(given)
        frames = values = mismatches = 0
        for name, _ in engine.results:
            found = result.outputs[engine.name, name][:result.frames(engine.name)]
            again = expected[name][np.arange(len(found)) % len(expected[name])]
            frames = len(found)
            values += found.size
            mismatches += int((found != again).sum())
        checks[engine.name] = Check(frames=frames, values=values, mismatches=mismatches)
    return checks


def _inputs_of(engine: Engine, inputs: Inputs) -> dict[str, np.ndarray]:
    """Those that are given, and the weights that come with every frame; what comes back from the
    memory is made on the way."""
    given = {name: inputs[engine.name, name] for name, _ in engine.inputs
             if (engine.name, name) in inputs}
    count = len(next(iter(given.values())))
    return given | {name: np.broadcast_to(frame, (count, *frame.shape))
                    for name, frame in engine.weight_frames.items()}


def first_difference(folder: Path, accelerator: Accelerator, inputs: Inputs, engine: Engine,
                     rerun: Callable[[Path], object]) -> Difference | None:
    """Run it again, every stream of one engine written down, and compare stage after stage.

    Parameters
    ----------
    folder, accelerator, inputs
        As of :func:`prove`.
    engine : :class:`Engine`
    rerun : function
        Runs the design of a folder as before.
    """
    with tempfile.TemporaryDirectory(prefix="fcnnx-") as name:
        rtl = Path(name) / "rtl"
        rtl.mkdir()
        module = accelerator.module_names[engine.name]
        for path in (Path(folder) / "rtl").absolute().iterdir():
            if path.name != f"{module}.v":
                (rtl / path.name).symlink_to(path)
        text = (Path(folder) / "rtl" / f"{module}.v").read_text()
        (rtl / f"{module}.v").write_text(_with_probes(text, engine))
        rerun(Path(name))
        for stage, results in run_stages(engine.direct_stages, _inputs_of(engine, inputs)):
            for k, expected in enumerate(results):
                found = _read_probe(rtl, engine, Source(stage.name, k))
                place = _first_place(found, expected)
                if place is not None:
                    again = expected[place[0] % len(expected)]
                    return Difference(
                        engine=engine.name, stage=stage.name, output=k,
                        **dict(zip(("frame", "row", "column", "channel"), place, strict=True)),
                        expected=int(again[place[1:]]), found=int(found[place]))
    return None


def _with_probes(text: str, engine: Engine) -> str:
    """An engine's module that writes each transfer of its streams to a file."""
    probes = []
    for k, name in enumerate(engine.stream_names.values()):
        probes.append(
            f'  integer probe_{k};\n'
            f'  initial probe_{k} = $fopen("{_probe_file(name)}", "w");\n'
            f'  always @(posedge clk) if (!rst && {name}__valid && {name}__ready)\n'
            f'    $fdisplay(probe_{k}, "%h", {name}__payload);\n')
    return re.sub(r"^endmodule", "".join(probes).replace("\\", "\\\\") + "endmodule", text, count=1,
                  flags=re.MULTILINE)


def _probe_file(name: str) -> str:
    return f"{name}.probe"


def _read_probe(rtl: Path, engine: Engine, source: Source) -> np.ndarray:
    shape = engine.shape(source)
    lines = (rtl / _probe_file(engine.stream_names[source])).read_text().split()
    lines = lines[:len(lines) // shape.beats * shape.beats]
    size = 4 * words_of(shape)
    # An undefined bit is none that a golden model gives: any value will do.
    data = b"".join(int(re.sub("[xz]", "0", line), 16).to_bytes(size, "little") for line in lines)
    return from_words(shape, np.frombuffer(data, "<u4").reshape(-1, words_of(shape)))


def _first_place(found: np.ndarray, expected: np.ndarray) -> tuple[int, ...] | None:
    again = expected[np.arange(len(found)) % len(expected)]
    wrong = np.argwhere(found != again)
    return tuple(map(int, wrong[0])) if len(wrong) else None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SimulationResult:
    """A run, checked and measured.

    Parameters
    ----------
    run : :class:`Run` or :class:`MemoryRun`
    checks, measurements : by engine
    differences : tuple of :class:`Difference`
        One for each engine with mismatches, where it could be found.
    """

    run: Run | MemoryRun
    checks: dict[str, Check]
    measurements: dict[str, Measurement]
    differences: tuple[Difference, ...] = ()

    @property
    def mismatches(self) -> int:
        return sum(each.mismatches for each in self.checks.values())

    def to_json(self) -> dict[str, object]:
        """What ``simulation.json`` holds."""
        return {
            "simulator": self.run.simulator,
            "seconds": round(self.run.seconds, 3),
            "cycles": self.run.cycles,
            "networks": {engine.name: self._network(engine)
                         for engine in self.run.accelerator.engines},
            "memory": self.run.memory | (self.run.levels.to_json()
                                         if isinstance(self.run, MemoryRun) else {}),
        }

    def _network(self, engine: Engine) -> dict[str, object]:
        interval = self.measurements[engine.name].interval
        macs = sum(stage.operator.macs for stage in engine.stages)
        multipliers = sum(stage.operator.multipliers for stage in engine.stages)
        work = multipliers * (interval or 0)
        return dataclasses.asdict(self.checks[engine.name]) | {
            "interval_cycles": interval,
            "mean_interval_cycles": self.measurements[engine.name].mean,
            "latency_cycles": self.measurements[engine.name].latency,
            "longest_latency_cycles": self.measurements[engine.name].longest,
            "starved_cycles": self.run.starved_cycles(engine.name),
            "mac_efficiency": round(macs / work, 4) if work else 0.0,
        }


def prove(folder: Path, accelerator: Accelerator, inputs: Inputs, frames: Mapping[str, int], *,
          golden: Mapping[str, Golden] | None = None, memory: MemoryTiming | None = None,
          stalls: int | None = None, waves: Path | None = None, simulator: str = "verilator",
          progress: Callable[[str], None] = lambda step: None,
          patience: int = 2_000_000) -> SimulationResult:
    """Run a design, compare it with the golden model, and find where it first differs.

    Parameters
    ----------
    golden : by engine
        The networks; without, the engines themselves.
    memory : :class:`MemoryTiming` or None
        What the memory does, where the accelerator has one; then ``stalls`` is the seed of what is
        random in it, 0 where it is None.
    others : as of :func:`fcnnx.cosim.simulation.run`.

    Raises
    ------
    BadInput, TargetMissed
        As those.
    """
    def rerun(place: Path, *, waves: Path | None = None) -> Run | MemoryRun:
        if memory is not None:
            return run_with_memory(place, accelerator, inputs, frames, memory, seed=stalls or 0,
                                   waves=waves, progress=progress, patience=patience)
        return run(place, accelerator, inputs, frames, stalls=stalls, waves=waves,
                   simulator=simulator, progress=progress, patience=patience)

    result = rerun(folder, waves=waves)
    progress("Comparing with the golden model")
    checks = check(result, inputs,
                   golden or {engine.name: engine for engine in accelerator.engines})
    differences = []
    for engine in accelerator.engines:
        if checks[engine.name].mismatches:
            progress(f"Looking for the layer of {engine.name} that differs first")
            found = first_difference(folder, accelerator, inputs, engine, rerun)
            differences += [found] if found else []
    return SimulationResult(run=result, checks=checks, measurements=measure(result),
                            differences=tuple(differences))
