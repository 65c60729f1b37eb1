"""Networks that want more of a memory than it gives: planned together, and each as if alone.

Each set has a device and five bandwidths. At each of them it is built twice: with the joint plan,
whose ports serve by tables; and with each network planned as if the memory were its own, served in
turn. Both are simulated with jitter, frames back to back, until the slowest network has made
enough.
"""

import dataclasses
import pathlib
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

import recipes
from ablations import ABLATIONS, build
from cases import AFTERWARDS, BUILDS, SIMULATES
from fcnnx.optimizer.memory import spread
from fcnnx.plan import Plan
from keeping import ROOT, Figures, Record, digest_of_folder, digest_of_sources, fcnnx, read


__all__ = ["POLICIES", "Contention", "Point", "contention", "points"]

POLICIES = {"joint": ("joint", "cyclic"), "unaware": ("unaware", "round-robin")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contention:
    """A set of networks at some bandwidths.

    Parameters
    ----------
    name : :class:`str`
    models : names of example models
    caps : amounts by kind
        Of the device's resources, at most.
    bandwidths : numbers, in GB/s
    told_apart : number, one of the bandwidths, or None
        Where each part of the mechanism is switched off.
    board : :class:`str`
    frames : of each network, at least
    """

    name: str
    models: tuple[str, ...]
    caps: Mapping[str, int]
    bandwidths: tuple[float, ...]
    told_apart: float | None = None
    board: str = "zedboard"
    frames: int = 4

    def measure(self, record: Record) -> None:
        """Build and simulate each point with each policy."""
        points = [(bandwidth, policy) for bandwidth in self.bandwidths for policy in POLICIES]
        if self.told_apart is not None:
            points += [(self.told_apart, f"without {part}") for part in ABLATIONS]
        for bandwidth, policy in points:
            sources = ["fcnnx", "hdl", "boards", "models"]
            sources += [] if policy in POLICIES else ["benchmarks/ablations.py"]
            built = record.part(
                f"{bandwidth} {policy} build", [digest_of_sources(*sources, without=AFTERWARDS),
                                                *self._words(bandwidth, policy)],
                lambda bandwidth=bandwidth, policy=policy: self._build(bandwidth, policy))
            record.part(f"{bandwidth} {policy}", [built["rtl"], built["plan"], str(self.frames),
                                                  digest_of_sources(*SIMULATES)],
                        lambda built=built, bandwidth=bandwidth, policy=policy: self._simulate(
                            built, bandwidth, policy))

    def _place(self, bandwidth: float, policy: str) -> pathlib.Path:
        return BUILDS / self.name / f"{bandwidth}_{policy.replace(' ', '_')}"

    def _words(self, bandwidth: float, policy: str) -> list[str]:
        """Of ``fcnnx build``; of an ablation, what tells it from others."""
        place = self._place(bandwidth, policy)
        if policy not in POLICIES:
            return [policy, str(place.relative_to(ROOT))]
        plan, schedule = POLICIES[policy]
        caps = [word for kind, most in self.caps.items() for word in (f"--{kind}", str(most))]
        return ["build", "--models", *(f"{model.removesuffix('_small_qdq.onnx')}=build/models/"
                                       f"{model}" for model in self.models),
                "--board", self.board, "--io", "dram", *caps, "--bandwidth", str(bandwidth),
                "--policy", plan, "--schedule", schedule,
                "--out", str(place.relative_to(ROOT))]

    def _build(self, bandwidth: float, policy: str) -> Figures:
        words, place = self._words(bandwidth, policy), self._place(bandwidth, policy)
        if policy in POLICIES:
            for model in self.models:
                recipes.locate(model)
            shutil.rmtree(place, ignore_errors=True)
            seconds, command = fcnnx(*words), "fcnnx " + " ".join(words)
        else:
            start = time.monotonic()
            build(policy.removeprefix("without "), *(self._place(bandwidth, name)
                                                     for name in POLICIES),
                  place, caps=self.caps, bandwidth=bandwidth)
            seconds = round(time.monotonic() - start, 1)
            command = f"ablations.build, {policy}"
        report = read(place / "report.json")
        streams = [stream for port in report["schedule"]["ports"] for stream in port["streams"]]
        engines = {each.name: spread(each, 0) for each in Plan.load(place).accelerator.engines}
        return {"command": command, "seconds": seconds,
                "rtl": digest_of_folder(place / "rtl"), "plan": report["plan"],
                "total": report["total"], "utilisation": report["schedule"]["utilisation"],
                "networks": {name: {
                    "interval_cycles": row["interval_cycles"],
                    "latency_cycles": row["latency_cycles"],
                    "alone_cycles": round(row["interval_cycles"] / row["ntt"]),
                    "multipliers": row["multipliers"], "bram18": row["bram18"],
                    "stage_cycles": max(stage.operator.interval for stage in engines[name].stages),
                    "macs": row["macs"], "words": sum(each["words_per_frame"] for each in streams
                                                      if each["network"] == name)}
                    for name, row in report["networks"].items()}}

    def _simulate(self, built: Figures, bandwidth: float, policy: str) -> Figures:
        place = self._place(bandwidth, policy)
        if not (place / "rtl").is_dir() or digest_of_folder(place / "rtl") != built["rtl"]:
            self._build(bandwidth, policy)
        command = "simulate", str(place.relative_to(ROOT)), "--frames", str(self.frames)
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
    policy : one of :data:`POLICIES`, or the joint one without a part
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
    def held(self) -> tuple[str, ...]:
        """Networks whose frames are held apart for the memory: their stages take less than they
        are planned to take."""
        return tuple(name for name, row in self.built["networks"].items()
                     if row["interval_cycles"] > row["stage_cycles"])

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
    """Sets of large topologies, scaled: smaller pictures and narrower layers, and for some a part
    of the device; bandwidths from where the memory is the limit to where it is none."""
    small = "{}_small_qdq.onnx".format
    part = {"dsp": 120, "lut": 38_000, "bram18": 190}
    return [Contention(name=f"contention_{name}", models=tuple(map(small, models)), caps=caps,
                       bandwidths=bandwidths, told_apart=told_apart)
            for name, models, caps, bandwidths, told_apart in (
                ("vgg_zf", ("vgg19", "zfnet512"), part, (0.2, 0.4, 0.8, 1.6, 0.1), 0.2),
                ("vgg_alex", ("vgg19", "alexnet"), part, (0.2, 0.4, 0.8, 1.6, 0.1), None),
                ("vgg_alex_zf", ("vgg19", "alexnet", "zfnet512"), {},
                 (0.4, 0.8, 1.6, 0.6, 1.2), 0.6),
                ("alex_squeeze", ("alexnet", "squeezenet"), {}, (0.2, 0.4, 0.8, 1.6, 0.1), None),
                ("alex_squeeze_part", ("alexnet", "squeezenet"), part,
                 (0.2, 0.4, 0.8, 1.6, 0.1), None))]
