"""How long the optimizer takes where networks are large."""

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import light
from cases import AFTERWARDS, BUILDS
from keeping import ROOT, Figures, Record, digest_of_sources, fcnnx, read, refusal


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
    fits : :class:`bool`
        Whether the board holds them: else it is measured how soon that is told.
    """

    name: str
    topology: str
    narrower: int
    board: str
    count: int
    fits: bool = True

    def measure(self, record: Record) -> None:
        """Plan them, models of floating point and all."""
        made_of = [digest_of_sources("fcnnx", "hdl", "boards", "models", without=AFTERWARDS),
                   repr(self)]
        if self.fits:
            record.part("planning", made_of, self._plan)
        else:
            record.part("refusal", made_of, self._refuse)

    def _plan(self) -> Figures:
        folder = BUILDS / self.name
        shutil.rmtree(folder, ignore_errors=True)
        with self._words() as words:
            seconds = fcnnx(*words)
        report = read(folder / "report.json")
        return self._what() | {
            "seconds": seconds, "optimizer": report["optimizer"], "total": report["total"],
            "networks": {name: {key: row[key] for key in (
                "macs", "interval_cycles", "latency_cycles", "ntt")}
                for name, row in report["networks"].items()}}

    def _refuse(self) -> Figures:
        with self._words() as words:
            seconds, said = refusal(*words)
        return self._what() | {"seconds": seconds, "count": self.count, "said": said}

    def _what(self) -> Figures:
        return {"command": f"fcnnx build --plan-only --io dram --models ... --board {self.board}",
                "board": self.board, "topology": self.topology, "narrower": self.narrower}

    @contextlib.contextmanager
    def _words(self) -> Iterator[list[str]]:
        """The command, as long as its models are there."""
        with tempfile.TemporaryDirectory() as models:
            model = light.make(self.topology, narrower=self.narrower).SerializeToString()
            paths = [f"{models}/{name}.onnx" for name in NAMES[:self.count]]
            for path in paths:
                pathlib.Path(path).write_bytes(model)
            yield ["build", "--plan-only", "--io", "dram", "--models", *paths, "--board",
                   self.board, "--out", str((BUILDS / self.name).relative_to(ROOT))]


def plannings() -> list[Planning]:
    """Three of a quarter of the width; and larger ones, which take longer or fill the board: one of
    half the width, three of it, one of the whole width, and three of it, which do not fit."""
    return [Planning(name="planning_resnet50", topology="resnet50", narrower=4, board="zcu102",
                     count=3),
            Planning(name="planning_resnet50_half", topology="resnet50", narrower=2,
                     board="zcu102", count=1),
            Planning(name="planning_resnet50_halves", topology="resnet50", narrower=2,
                     board="zcu102", count=3),
            Planning(name="planning_resnet50_whole", topology="resnet50", narrower=1,
                     board="zcu102", count=1),
            Planning(name="planning_resnet50_wholes", topology="resnet50", narrower=1,
                     board="zcu102", count=3, fits=False)]
