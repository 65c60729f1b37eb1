"""Networks that want more of a memory than it gives: planned together, and each as if alone.

Each set has a device and five bandwidths. At each of them it is built twice: with the joint plan,
whose ports serve by tables; and with each network planned as if the memory were its own, served in
turn. Both are simulated with jitter, frames back to back, until the slowest network has made
enough.
"""

import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import recipes
from cases import AFTERWARDS, BUILDS, SIMULATES
from keeping import ROOT, Figures, Record, digest_of_folder, digest_of_sources, fcnnx, read


__all__ = ["ABLATIONS", "POLICIES", "Contention", "Point", "contention", "points"]

POLICIES = {"joint": ("joint", "cyclic"), "unaware": ("unaware", "round-robin")}
# What tells the parts of the difference: the joint plan's foldings and placement of weights, served
# in turn and without a pace; and the other plan's, held apart and served by tables.
ABLATIONS = {"joint in turn": ("joint", "round-robin"), "unaware by tables": ("unaware", "cyclic")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contention:
    """A set of networks at some bandwidths.

    Parameters
    ----------
    name : :class:`str`
    models : names of example models
    caps : words of ``fcnnx build``
        Of the device's resources.
    bandwidths : numbers, in GB/s
    told_apart : number, one of the bandwidths
        Where parts of the mechanism are switched off.
    board : :class:`str`
    frames : of each network, at least
    """

    name: str
    models: tuple[str, ...]
    caps: tuple[str, ...]
    bandwidths: tuple[float, ...]
    told_apart: float
    board: str = "zedboard"
    frames: int = 4

    def measure(self, record: Record) -> None:
        """Build and simulate each point with each policy."""
        points = [(bandwidth, policy) for bandwidth in self.bandwidths for policy in POLICIES]
        for bandwidth, policy in [*points, *((self.told_apart, each) for each in ABLATIONS)]:
            words = self._words(bandwidth, policy)
            built = record.part(f"{bandwidth} {policy} build", [digest_of_sources(
                "fcnnx", "hdl", "boards", "models", without=AFTERWARDS), *words],
                lambda words=words: self._build(words))
            record.part(f"{bandwidth} {policy}", [built["rtl"], built["plan"], str(self.frames),
                                                  digest_of_sources(*SIMULATES)],
                        lambda built=built, words=words: self._simulate(built, words))

    def _words(self, bandwidth: float, policy: str) -> list[str]:
        plan, schedule = (POLICIES | ABLATIONS)[policy]
        place = BUILDS / self.name / f"{bandwidth}_{policy.replace(' ', '_')}"
        return ["build", "--models", *(f"{model.removesuffix('_small_qdq.onnx')}=build/models/"
                                       f"{model}" for model in self.models),
                "--board", self.board, "--io", "dram", *self.caps, "--bandwidth", str(bandwidth),
                "--policy", plan, "--schedule", schedule,
                "--out", str(place.relative_to(ROOT))]

    def _build(self, words: Sequence[str]) -> Figures:
        for model in self.models:
            recipes.locate(model)
        place = ROOT / words[-1]
        shutil.rmtree(place, ignore_errors=True)
        seconds = fcnnx(*words)
        report = read(place / "report.json")
        streams = [stream for port in report["schedule"]["ports"] for stream in port["streams"]]
        return {"command": "fcnnx " + " ".join(words), "seconds": seconds,
                "rtl": digest_of_folder(place / "rtl"), "plan": report["plan"],
                "total": report["total"], "utilisation": report["schedule"]["utilisation"],
                "networks": {name: {
                    "interval_cycles": row["interval_cycles"],
                    "latency_cycles": row["latency_cycles"],
                    "alone_cycles": round(row["interval_cycles"] / row["ntt"]),
                    "multipliers": row["multipliers"], "bram18": row["bram18"],
                    "macs": row["macs"], "words": sum(each["words_per_frame"] for each in streams
                                                      if each["network"] == name)}
                    for name, row in report["networks"].items()}}

    def _simulate(self, built: Figures, words: Sequence[str]) -> Figures:
        place = ROOT / words[-1]
        if not (place / "rtl").is_dir() or digest_of_folder(place / "rtl") != built["rtl"]:
            self._build(words)
        command = "simulate", words[-1], "--frames", str(self.frames)
        seconds = fcnnx(*command, codes=(0, 1))
        found = read(place / "simulation.json")
        return {"command": "fcnnx " + " ".join(command), "seconds": seconds,
                "cycles": found["cycles"], "memory": {
                    key: figure for key, figure in found["memory"].items() if key != "streams"},
                "networks": found["networks"]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A set at a bandwidth, planned with a policy, and what came of it.

    Parameters
    ----------
    bandwidth : :class:`float`
        GB/s.
    policy : one of :data:`POLICIES`, or of :data:`ABLATIONS`
    built, simulated : mappings
        As measured.
    alone : cycles by network
        From frame to frame where the whole device is its own, at this bandwidth; the same for all
        policies.
    """

    bandwidth: float
    policy: str
    built: Mapping[str, Any]
    simulated: Mapping[str, Any]
    alone: Mapping[str, int]

    @property
    def progress(self) -> dict[str, float]:
        """Of each network: its interval alone by its interval here, over the second half of its
        frames."""
        return {name: self.alone[name] / row["mean_interval_cycles"]
                for name, row in self.simulated["networks"].items()}

    @property
    def throughput(self) -> float:
        """The weighted sum of progress, all weights being equal."""
        return sum(self.progress.values()) / len(self.alone)

    @property
    def fairness(self) -> float:
        """The least progress by the greatest."""
        return min(self.progress.values()) / max(self.progress.values())

    @property
    def utilisation(self) -> float:
        """Words that the memory moves of those that it gives, refreshes taken off, since a frame of
        every network was done."""
        return self.simulated["memory"]["steady_utilisation"]

    @property
    def exact(self) -> bool:
        """No value differs from the golden model's."""
        return not any(row["mismatches"] for row in self.simulated["networks"].values())

    @property
    def as_predicted(self) -> bool:
        """Every network has the interval that was predicted, and engines never waited."""
        said = self.built["networks"]
        return not self.simulated["memory"]["underruns"] and all(
            row["interval_cycles"] == said[name]["interval_cycles"]
            for name, row in self.simulated["networks"].items())


def points(record: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Point]]:
    """Bandwidth after bandwidth, the policies that were simulated, where both kinds were."""
    keys = [name.split(" ", 1) for name in record if f"{name} build" in record]
    for bandwidth in sorted({key for key, _ in keys}, key=float):
        made = {policy: record[f"{bandwidth} {policy} build"] for key, policy in keys
                if key == bandwidth}
        if not made.keys() >= POLICIES.keys():
            continue
        alone = {name: row["alone_cycles"] for name, row in made["joint"]["networks"].items()}
        yield {policy: Point(bandwidth=float(bandwidth), policy=policy, built=built,
                             simulated=record[f"{bandwidth} {policy}"], alone=alone)
               for policy, built in made.items()}


def contention() -> list[Contention]:
    """Sets of large topologies, scaled: smaller pictures and narrower layers, and a part of the
    device for two of them, the whole of it for three; bandwidths from where the memory is the limit
    to where it is none."""
    small = "{}_small_qdq.onnx".format
    part = "--dsp", "120", "--lut", "38000", "--bram18", "190"
    return [Contention(name=f"contention_{name}", models=tuple(map(small, models)), caps=caps,
                       bandwidths=bandwidths, told_apart=told_apart)
            for name, models, caps, bandwidths, told_apart in (
                ("vgg_zf", ("vgg19", "zfnet512"), part, (0.2, 0.4, 0.8, 1.6, 0.1), 0.2),
                ("vgg_alex", ("vgg19", "alexnet"), part, (0.2, 0.4, 0.8, 1.6, 0.1), 0.2),
                ("vgg_alex_zf", ("vgg19", "alexnet", "zfnet512"), (),
                 (0.4, 0.8, 1.6, 0.6, 1.2), 0.4),
                ("alex_squeeze", ("alexnet", "squeezenet"), part, (0.2, 0.4, 0.8, 1.6, 0.1), 0.2))]
