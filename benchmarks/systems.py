"""Several networks whose frames, and what weights do not fit, cross one memory."""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from cases import Accelerator
from keeping import ROOT, Figures, fcnnx, read


__all__ = ["System", "systems"]

TINY = ("resnet8_qdq.onnx", "mobilenet_qdq.onnx", "dscnn_qdq.onnx", "autoencoder_qdq.onnx")
SEEDS = (0, 1)  # of the memory's jitter
MEMORY = ("bytes", "busy_cycles", "utilisation", "steady_utilisation", "underruns")  # kept figures


@dataclasses.dataclass(frozen=True, kw_only=True)
class System(Accelerator):
    """An accelerator with its memory.

    Parameters
    ----------
    frames : of each network, at least
    """

    io: str = "dram"
    frames: int = 4

    def _simulate(self, built: Figures) -> Figures:
        """With each seed of what is random in the memory."""
        self._ready(built)
        words = "simulate", str(self.folder.relative_to(ROOT))
        simulate = *words, "--frames", str(self.frames)
        runs, seconds = [], []
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"XDG_CACHE_HOME": cache}
            for seed in SEEDS:
                seconds.append(fcnnx(*simulate, "--stalls", str(seed), environment=environment))
                runs.append(read(self.folder / "simulation.json"))
        return {"command": "fcnnx " + " ".join(simulate), "seconds": seconds,
                "memory": {key: runs[0]["memory"][key] for key in MEMORY},
                "underruns": sum(run["memory"]["underruns"] for run in runs),
                "networks": {name: self._network(name, runs) for name in built["networks"]}}

    @staticmethod
    def _network(name: str, runs: list[Mapping[str, Any]]) -> Figures:
        first, *others = [run["networks"][name] for run in runs]
        kept = "values", "mismatches", "interval_cycles", "latency_cycles", "mac_efficiency"
        return {key: first[key] for key in kept} | {
            "mismatches_stalled": sum(other["mismatches"] for other in others),
            "same_cycles": all(other[key] == first[key] for other in others
                               for key in ("interval_cycles", "latency_cycles"))}


def systems() -> list[System]:
    """The four networks of MLPerf Tiny on one chip."""
    return [System(name=f"tiny_{board}", models=TINY, board=board)
            for board in ("zc706", "zedboard")]
