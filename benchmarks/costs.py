"""Whole builds whose costs are predicted, and counted by Yosys: networks, boards and foldings that
no formula was fitted to."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from cases import Accelerator


__all__ = ["costs", "difference", "summary"]

Figures = Mapping[str, Any]

# Networks, board, most DSPs, most LUTs.
BUILDS = (
    ("pnet", "zedboard", 40, 12000),
    ("pnet", "kv260", 80, 20000),
    ("pnet", "ulx3s-85f", 60, 30000),
    ("rnet", "zedboard", 60, 20000),
    ("rnet", "zcu102", 100, 30000),
    ("rnet", "zc706", 150, 40000),
    ("onet", "zedboard", 80, 25000),
    ("onet", "kv260", 120, 35000),
    ("onet", "ulx3s-85f", 100, 50000),
    ("resnet8", "zedboard", 60, 20000),
    ("resnet8", "zcu102", 150, 40000),
    ("resnet8", "ulx3s-85f", 100, 50000),
    ("dscnn", "zc706", 60, 20000),
    ("dscnn", "kv260", 100, 25000),
    ("mobilenet", "zedboard", 100, 30000),
    ("mobilenet", "zcu102", 150, 45000),
    ("mobilenet", "ulx3s-85f", 120, 60000),
    ("autoencoder", "zedboard", 40, 12000),
    ("autoencoder", "kv260", 80, 20000),
    ("autoencoder", "ulx3s-85f", 50, 25000),
    ("rnet onet", "zc706", 160, 45000),
    ("dscnn autoencoder", "zcu102", 120, 35000),
)

# Those that reach a memory.
MEMORY_BUILDS = (
    ("rnet", "zedboard", 60, 25000),
    ("dscnn autoencoder", "zcu102", 120, 45000),
)


def costs() -> list[Accelerator]:
    """All of them, small enough to be synthesised in a minute or so."""
    return [*(_build(*each, "stream") for each in BUILDS),
            *(_build(*each, "dram") for each in MEMORY_BUILDS)]


def _build(names: str, board: str, dsp: int, lut: int, io: str) -> Accelerator:
    name = f"cost_{names.replace(' ', '_')}_{board}" + ("_memory" if io == "dram" else "")
    shape = ("--shape", "input_1=1,48,48,3") if names == "pnet" else ()
    return Accelerator(
        name=name, models=tuple(f"{name}_qdq.onnx" for name in names.split()), board=board, io=io,
        options=("--dsp", str(dsp), "--lut", str(lut), *shape), simulated=False, synthesised=True)


def difference(said: Figures, counted: Figures, kind: str) -> float:
    """How far a prediction is off, as a share of the count."""
    return said[kind] / max(1, counted[kind]) - 1


def summary(pairs: Sequence[tuple[Figures, Figures]]) -> str:
    """Over all predictions and counts."""
    blocks = max(abs(said["bram18"] - counted["bram18"]) for said, counted in pairs)
    dsps = sum(said["dsp"] == counted["dsp"] for said, counted in pairs)
    shares = []
    for kind, name in (("lut", "LUTs"), ("ff", "flip-flops")):
        errors = [abs(difference(said, counted, kind)) for said, counted in pairs]
        shares.append(f"{name} are off by {100 * statistics.median(errors):.1f} % in the "
                      f"median and {100 * max(errors):.1f} % at worst")
    return (f"DSPs are equal in {dsps} of {len(pairs)}, block RAMs differ by {blocks} at most; "
            f"{' and '.join(shares)}.")
