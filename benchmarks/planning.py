"""How long the optimizer takes where networks are large."""

import dataclasses
import pathlib
import shutil
import tempfile

import light
from cases import AFTERWARDS, BUILDS
from keeping import ROOT, Figures, Record, digest_of_sources, fcnnx, read


__all__ = ["Planning", "plannings"]

NAMES = ("first", "second", "third")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planning:
    """Some networks of one topology on one board, planned and not built.

    Parameters
    ----------
    name : :class:`str`
    topology : one of :data:`light.NAMES`
    narrower : :class:`int`
        What the channels of all layers are divided by.
    board : :class:`str`
    count : :class:`int`
        Networks, three at most.
    """

    name: str
    topology: str
    narrower: int
    board: str
    count: int

    def measure(self, record: Record) -> None:
        """Plan them, models of floating point and all."""
        record.part("planning", [digest_of_sources("fcnnx", "hdl", "boards", "models",
                                                   without=AFTERWARDS), repr(self)], self._plan)

    def _plan(self) -> Figures:
        folder = BUILDS / self.name
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory() as models:
            model = light.make(self.topology, narrower=self.narrower).SerializeToString()
            paths = [f"{models}/{name}.onnx" for name in NAMES[:self.count]]
            for path in paths:
                pathlib.Path(path).write_bytes(model)
            seconds = fcnnx("build", "--plan-only", "--io", "dram", "--models", *paths, "--board",
                            self.board, "--out", str(folder.relative_to(ROOT)))
        report = read(folder / "report.json")
        command = f"fcnnx build --plan-only --io dram --models ... --board {self.board}"
        return {"command": command, "seconds": seconds, "board": self.board,
                "optimizer": report["optimizer"],
                "topology": self.topology, "narrower": self.narrower, "total": report["total"],
                "networks": {name: {key: row[key] for key in (
                    "macs", "interval_cycles", "latency_cycles", "ntt")}
                    for name, row in report["networks"].items()}}


def plannings() -> list[Planning]:
    """Three of a quarter of the width; and larger ones, which take longer or fill the board: one of
    half the width, three of it, and one of the whole width."""
    return [Planning(name="planning_resnet50", topology="resnet50", narrower=4, board="zcu102",
                     count=3),
            Planning(name="planning_resnet50_half", topology="resnet50", narrower=2,
                     board="zcu102", count=1),
            Planning(name="planning_resnet50_halves", topology="resnet50", narrower=2,
                     board="zcu102", count=3),
            Planning(name="planning_resnet50_whole", topology="resnet50", narrower=1,
                     board="zcu102", count=1)]
