"""What is measured: every case, by its name.

A case has a ``name`` and ``measure(record)``, which gives the record its parts; ``tables.py`` has a
section for each kind of part. Another kind of case needs a class here, or beside this file, and a
line in :data:`CASES`.
"""

import dataclasses
import os
import pathlib
import shutil
import tempfile
from typing import Protocol

import numpy as np
import onnxruntime

import faces
import mtcnn
import recipes
from fcnnx.cosim.cache import digest
from fcnnx.hdl.operator import FeatureMap
from fcnnx.plan import Plan
from keeping import ROOT, Figures, Record, digest_of_folder, digest_of_sources, fcnnx, read


__all__ = ["BUILDS", "Accelerator", "Case", "Faces", "rows_of_the_peer", "several"]

BUILDS = ROOT / "build" / "bench"
FRAMES = 8
# What a build does not depend on.
AFTERWARDS = ("fcnnx/report", "fcnnx/cosim", "fcnnx/synthesis", "fcnnx/cli.py", "fcnnx/doctor.py",
              "fcnnx/simulating.py", "models/demo.py")
SIMULATES = ("fcnnx/cosim", "fcnnx/simulating.py")
SYNTHESISES = ("fcnnx/synthesis",)


class Case(Protocol):
    """Something that is measured."""

    @property
    def name(self) -> str:
        """Of its record."""

    def measure(self, record: Record) -> None:
        """Fill in the parts that have to be measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One accelerator.

    Parameters
    ----------
    name : :class:`str`
    models : names of example models
    board : :class:`str`
    io : what inputs and outputs are
    options : further words of ``fcnnx build``
    simulated : whether it runs
    synthesised : whether Yosys counts what it takes
    paths : whether longest paths are found, where it is synthesised
    route : whether it is placed and routed as well
    bars : greatest interval and latency that are asked for
    caps : DSPs and LUTs of the peer, which Yosys' counts must not exceed
    """

    name: str
    models: tuple[str, ...]
    board: str = "zedboard"
    io: str = "stream"
    options: tuple[str, ...] = ()
    simulated: bool = True
    synthesised: bool = False
    paths: bool = False
    route: bool = False
    bars: tuple[int, int] | None = None
    caps: tuple[int, int] | None = None

    @property
    def folder(self) -> pathlib.Path:
        """Where it is built."""
        return BUILDS / self.name

    @property
    def words(self) -> list[str]:
        """Of the command that builds it."""
        return ["build", "--models", *(f"build/models/{model}" for model in self.models),
                "--board", self.board, "--io", self.io, *self.options,
                "--out", str(self.folder.relative_to(ROOT))]

    def measure(self, record: Record) -> None:
        """Build it, simulate and synthesise it, where that is asked for.

        What is built depends on the sources; what is simulated and synthesised on what was built,
        and on the sources that do it.
        """
        built = record.part("build", [digest_of_sources("fcnnx", "hdl", "boards", "models",
                                                        without=AFTERWARDS), *self.words],
                            self._build)
        if self.simulated:
            record.part("simulation", [built["rtl"], built["golden"], str(FRAMES),
                                       digest_of_sources(*SIMULATES)],
                        lambda: self._simulate(built))
        if self.synthesised:
            record.part("synthesis", [built["rtl"], f"{self.paths} {self.route}",
                                      digest_of_sources(*SYNTHESISES)],
                        lambda: self._synthesise(built))

    def _build(self) -> Figures:
        for model in self.models:
            recipes.locate(model)
        shutil.rmtree(self.folder, ignore_errors=True)
        with tempfile.TemporaryDirectory() as cache:
            seconds = fcnnx(*self.words, environment=os.environ | {"XDG_CACHE_HOME": cache})
        report = read(self.folder / "report.json")
        kept = ("macs", "multipliers", "dsp", "bram18", "lut", "ff", "interval_cycles",
                "latency_cycles", "frames_per_second", "ntt")
        return {"command": "fcnnx " + " ".join(self.words), "seconds": seconds,
                "rtl": digest_of_folder(self.folder / "rtl"), "golden": _golden(self.folder),
                "board": self.board, "total": report["total"], "budget": report["budget"],
                "metrics": report["metrics"], "optimizer": report["optimizer"],
                "networks": {name: {key: row[key] for key in kept}
                             for name, row in report["networks"].items()},
                "bars": self.bars, "caps": self.caps}

    def _ready(self, built: Figures) -> None:
        """See that what was built is there."""
        rtl = self.folder / "rtl"
        if not rtl.is_dir() or digest_of_folder(rtl) != built["rtl"]:
            again = self._build()
            if again["rtl"] != built["rtl"]:
                raise SystemExit(f"{self.name}: the same sources built something else")

    def _simulate(self, built: Figures) -> Figures:
        """Twice, and once more with stalls."""
        self._ready(built)
        simulate = "simulate", str(self.folder.relative_to(ROOT)), "--frames", str(FRAMES)
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"XDG_CACHE_HOME": cache}
            seconds = [fcnnx(*simulate, environment=environment)]
            found = read(self.folder / "simulation.json")["networks"]
            seconds.append(fcnnx(*simulate, environment=environment))
            fcnnx(*simulate, "--stalls", "1", environment=environment)
            stalled = read(self.folder / "simulation.json")["networks"]
        kept = "values", "mismatches", "interval_cycles", "latency_cycles", "mac_efficiency"
        return {"command": "fcnnx " + " ".join(simulate), "seconds": seconds, "networks": {
            name: {key: row[key] for key in kept} | {
                "mismatches_stalled": stalled[name]["mismatches"]}
            for name, row in found.items()}}

    def _synthesise(self, built: Figures) -> Figures:
        """Counts, where its time is asked for with nothing kept; then what else is asked for."""
        self._ready(built)
        words = ["synth", str(self.folder.relative_to(ROOT))]
        further = [*(["--paths"] if self.paths else []), *(["--route"] if self.route else [])]
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | ({"XDG_CACHE_HOME": cache} if self.simulated else {})
            # 2: more than was planned, which the counts tell.
            seconds = fcnnx(*words, codes=(0, 2), environment=environment)
            if further:
                fcnnx(*words, *further, codes=(0, 2), environment=environment)
        return {"command": "fcnnx " + " ".join([*words, *further]), "seconds": seconds,
                "synthesis": read(self.folder / "synthesis.json")}


def _golden(build: pathlib.Path) -> str:
    """Digest of what the golden model makes of one random frame: it is no part of the Verilog."""
    rng = np.random.default_rng(1)

    def frame(values: FeatureMap) -> np.ndarray:
        return rng.integers(values.low, values.high + 1,
                            (1, values.rows, values.columns, values.channels))

    outputs = {(engine.name, name): array for engine in Plan.load(build).accelerator.engines
               for name, array in engine.compute({
                   name: frame(stream.map) for name, stream in engine.inputs}).items()}
    return digest(part for name, array in sorted(outputs.items())
                  for part in (*name, array.astype(np.int64).tobytes()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faces:
    """R-Net's verdicts on all labelled patches, from the simulated hardware."""

    name: str = "lfw_subset"

    def measure(self, record: Record) -> None:
        """How many of them are those of onnxruntime on the float model."""
        record.part("verdicts", [digest_of_sources("fcnnx", "hdl", "boards", "models", without=(
            "fcnnx/report", "fcnnx/synthesis", "fcnnx/cli.py", "fcnnx/doctor.py",
            "models/demo.py"))], self._verdicts)

    def _verdicts(self) -> Figures:
        folder, patches, truth = BUILDS / self.name, *faces.labelled(mtcnn.SIDES["rnet"])
        shutil.rmtree(folder, ignore_errors=True)
        words = ["build", "--models", "build/models/rnet.onnx", "--board", "zedboard",
                 "--io", "stream", "--calibration", "rnet=build/models/faces24.npz",
                 "--out", str(folder.relative_to(ROOT))]
        recipes.locate("rnet.onnx")
        recipes.locate("faces24.npz")
        fcnnx(*words)
        with tempfile.TemporaryDirectory() as name:
            inputs, outputs = pathlib.Path(name, "in.npz"), pathlib.Path(name, "out.npz")
            np.savez(inputs, **{f"rnet/{mtcnn.INPUTS['rnet']}": patches})
            fcnnx("simulate", str(folder), "--inputs", str(inputs), "--outputs", str(outputs))
            seen = np.load(outputs)["rnet/softmax_1"][:, 1] > 0.5
        session = onnxruntime.InferenceSession(str(recipes.locate("rnet.onnx")),
                                               providers=["CPUExecutionProvider"])
        (exact,) = session.run(["softmax_1"], {mtcnn.INPUTS["rnet"]: patches})
        exact = exact[:, 1] > 0.5
        return {"command": "fcnnx " + " ".join(words), "patches": len(patches),
                "agree": int((seen == exact).sum()), "right": int((seen == truth).sum()),
                "float_right": int((exact == truth).sum()),
                "mismatches": read(folder / "simulation.json")["networks"]["rnet"]["mismatches"]}


def several() -> list[Accelerator]:
    """Each example on a whole board, and some together."""
    shape = ("--shape", "input_1=1,48,48,3")
    return [
        Accelerator(name="pnet", models=("pnet_qdq.onnx",), options=shape),
        *(Accelerator(name=name, models=(f"{name}_qdq.onnx",))
          for name in ("rnet", "onet", "resnet8", "dscnn", "mobilenet", "autoencoder")),
        Accelerator(name="rnet_onet", models=("rnet_qdq.onnx", "onet_qdq.onnx")),
        Accelerator(name="resnet8_dscnn_autoencoder",
                    models=("resnet8_qdq.onnx", "dscnn_qdq.onnx", "autoencoder_qdq.onnx"))]


def rows_of_the_peer() -> list[Accelerator]:
    """Within the DSPs and LUTs of the strongest published tool."""
    return [
        # Planned for a little less, as what it takes is counted afterwards.
        Accelerator(name=f"{name}_{board}", models=(f"{name}_qdq.onnx",), board=board,
                    options=("--dsp", str(dsp), "--lut", str(lut * 97 // 100)), synthesised=True,
                    paths=True, bars=bars, caps=(dsp, lut))
        for name, board, dsp, lut, bars in (
            ("resnet8", "zedboard", 211, 47000, (30000, 50000)),
            ("resnet8", "zc706", 525, 133000, (11000, 18000)),
            ("mobilenet", "zedboard", 189, 47000, (22000, 95000)),
            ("mobilenet", "zc706", 564, 133000, (7500, 35000)),
            ("dscnn", "zedboard", 188, 47000, (7500, 15000)))]
