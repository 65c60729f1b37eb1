"""Every figure of RESULTS.md, measured: ``make bench``.

    PYTHONPATH=models python benchmarks/bench.py [NAME...]

Each case builds, simulates and checks through the command line, as a user would. What it gave is
kept in ``results/NAME.json`` with the digest of the sources that it was measured on, and is not
measured again on the same ones: stop it at any time, and start it again.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import onnxruntime

import faces
import mtcnn
import recipes
from tables import write_results


HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
KEPT = HERE / "results"
BUILDS = ROOT / "build" / "bench"
FRAMES = 8
Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One accelerator.

    Parameters
    ----------
    name : :class:`str`
    models : names of example models
    board : :class:`str`
    options : further words of ``fcnnx build``
    synthesised : whether Yosys counts what it takes
    bars : greatest interval and latency that are asked for
    caps : DSPs and LUTs of the peer, which Yosys' counts must not exceed
    """

    name: str
    models: tuple[str, ...]
    board: str = "zedboard"
    options: tuple[str, ...] = ()
    synthesised: bool = False
    bars: tuple[int, int] | None = None
    caps: tuple[int, int] | None = None

    @property
    def folder(self) -> pathlib.Path:
        return BUILDS / self.name

    @property
    def build_words(self) -> list[str]:
        return ["build", "--models", *(f"build/models/{model}" for model in self.models),
                "--board", self.board, *self.options,
                "--out", str(self.folder.relative_to(ROOT))]

    def measure(self) -> Figures:
        """Build, simulate twice, once more with stalls, and synthesise where that is asked for."""
        shutil.rmtree(self.folder, ignore_errors=True)
        folder = str(self.folder.relative_to(ROOT))
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"XDG_CACHE_HOME": cache}
            seconds = {"build": fcnnx(*self.build_words, environment=environment)}
            simulate = "simulate", folder, "--frames", str(FRAMES)
            seconds["simulate"] = fcnnx(*simulate, environment=environment)
            simulated = read(self.folder / "simulation.json")
            seconds["simulate again"] = fcnnx(*simulate, environment=environment)
            fcnnx(*simulate, "--stalls", "1", environment=environment)
            stalled = read(self.folder / "simulation.json")
        report = read(self.folder / "report.json")
        figures = {"command": "fcnnx " + " ".join(self.build_words), "seconds": seconds,
                   "board": self.board, "total": report["total"], "budget": report["budget"],
                   "metrics": report["metrics"], "optimizer": report["optimizer"],
                   "networks": {name: self._network(row, simulated["networks"][name],
                                                    stalled["networks"][name])
                                for name, row in report["networks"].items()},
                   "bars": self.bars, "caps": self.caps}
        if self.synthesised:
            # 2: more than was planned, which the counts tell.
            seconds["synth"] = fcnnx("synth", folder, codes=(0, 2))
            figures["synthesis"] = read(self.folder / "synthesis.json")
        return figures

    def _network(self, predicted: Figures, simulated: Figures, stalled: Figures) -> Figures:
        kept = "macs", "multipliers", "dsp", "bram18", "lut", "ff", "frames_per_second", "ntt"
        return {key: predicted[key] for key in kept} | {
            "interval": [predicted["interval_cycles"], simulated["interval_cycles"]],
            "latency": [predicted["latency_cycles"], simulated["latency_cycles"]],
            "values": simulated["values"], "mismatches": simulated["mismatches"],
            "mismatches_stalled": stalled["mismatches"],
            "mac_efficiency": simulated["mac_efficiency"]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faces:
    """R-Net's verdicts on all labelled patches, from the simulated hardware."""

    name: str = "lfw_subset"

    def measure(self) -> Figures:
        """How many of them are those of onnxruntime on the float model."""
        folder, patches, truth = BUILDS / self.name, *faces.labelled(mtcnn.SIDES["rnet"])
        shutil.rmtree(folder, ignore_errors=True)
        words = ["build", "--models", "build/models/rnet.onnx", "--board", "zedboard",
                 "--calibration", "rnet=build/models/faces24.npz",
                 "--out", str(folder.relative_to(ROOT))]
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


def _row(name: str, board: str, dsp: int, lut: int, interval: int, latency: int) -> Case:
    # Planned for a little less, as what it takes is counted afterwards.
    return Case(name=f"{name}_{board}", models=(f"{name}_qdq.onnx",), board=board,
                options=("--dsp", str(dsp), "--lut", str(lut * 97 // 100)), synthesised=True,
                bars=(interval, latency), caps=(dsp, lut))


SHAPE = ("--shape", "input_1=1,48,48,3")
CASES: tuple[Case | Faces, ...] = (
    Case(name="pnet", models=("pnet_qdq.onnx",), options=SHAPE),
    *(Case(name=name, models=(f"{name}_qdq.onnx",))
      for name in ("rnet", "onet", "resnet8", "dscnn", "mobilenet", "autoencoder")),
    Case(name="rnet_onet", models=("rnet_qdq.onnx", "onet_qdq.onnx")),
    Case(name="resnet8_dscnn_autoencoder",
         models=("resnet8_qdq.onnx", "dscnn_qdq.onnx", "autoencoder_qdq.onnx")),
    Faces(),
    _row("resnet8", "zedboard", 211, 47000, 30000, 50000),
    _row("resnet8", "zc706", 525, 133000, 11000, 18000),
    _row("mobilenet", "zedboard", 189, 47000, 22000, 95000),
    _row("mobilenet", "zc706", 564, 133000, 7500, 35000),
    _row("dscnn", "zedboard", 188, 47000, 7500, 15000),
)


def fcnnx(*words: str, environment: dict[str, str] | None = None,
          codes: tuple[int, ...] = (0,)) -> float:
    """Run a command of ours, which must end with one of these codes; returns its seconds."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "fcnnx", *words], cwd=ROOT, env=environment,
                          stdout=subprocess.DEVNULL)
    if done.returncode not in codes:
        sys.exit(f"fcnnx {' '.join(words)}: exit code {done.returncode}")
    return round(time.monotonic() - start, 1)


def read(path: pathlib.Path) -> Figures:
    """What a JSON file holds."""
    return json.loads(path.read_text())


def tree() -> str:
    """Digest of the sources that figures depend on: all but how they are shown."""
    digest = hashlib.sha256()
    shown = ROOT / "fcnnx" / "report"
    for folder in ("fcnnx", "hdl", "boards", "models"):
        for path in sorted((ROOT / folder).rglob("*")):
            if (path.suffix in (".py", ".v", ".cpp", ".txt") and shown not in path.parents
                    and path.name not in ("cli.py", "doctor.py", "evidence.py")):
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def measured(case: Case | Faces, sources: str) -> Figures:
    """What a case gives on these sources, from where it is kept if it is."""
    kept = KEPT / f"{case.name}.json"
    if kept.exists() and read(kept)["tree"] == sources:
        print(f"{case.name}: measured already", flush=True)
        return read(kept)
    print(f"{case.name}: measuring", flush=True)
    figures = {"tree": sources, "machine": f"{os.cpu_count()} cores, Python "
               f"{platform.python_version()}"} | case.measure()
    KEPT.mkdir(exist_ok=True)
    written = kept.with_suffix(".new")
    written.write_text(json.dumps(figures, indent=1) + "\n")
    written.replace(kept)
    return figures


def main() -> None:
    """Measure what is asked for, or everything; write RESULTS.md from all that is kept."""
    parser = argparse.ArgumentParser(description="Measure every figure of RESULTS.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; all where none is named")
    names = parser.parse_args().names
    known = {case.name: case for case in CASES}
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(known)}")
    sources = tree()
    for name in names or known:
        case = known[name]
        for model in getattr(case, "models", ()):
            recipes.locate(model)
        measured(case, sources)
    kept = {name: read(KEPT / f"{name}.json") for name in known
            if (KEPT / f"{name}.json").exists()}
    write_results(HERE / "RESULTS.md", kept, sources)


if __name__ == "__main__":
    main()
