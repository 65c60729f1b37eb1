"""Costs of components, as their formulas say them and as Yosys counts them.

    python benchmarks/calibrate.py run [KIND...] [--family xc7]
    python benchmarks/calibrate.py check [KIND...] [--family xc7]

``run`` synthesises the components of ``samples.py`` and keeps the counts in ``calibration.json``,
``check`` shows formulas and counts side by side. What was synthesised once is not again.
"""

import argparse
import json
import pathlib
import statistics
import sys

from fcnnx import boards
from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.verilog import emit, written_modules
from fcnnx.synthesis.yosys import synthesise, version
from samples import Sample, samples


KEPT = pathlib.Path(__file__).resolve().with_name("calibration.json")
DEVICES = {"xc7": "zedboard", "xcup": "zcu102", "ecp5": "ulx3s-85f"}
Counts = dict[str, dict[str, dict[str, int]]]


def count(sample: Sample, family: str) -> dict[str, int]:
    """What Yosys says of a component."""
    texts = emit(sample.create(), name="dut")
    texts |= written_modules(texts.values())
    return dict(synthesise(texts, family, top="dut").total.items())


def run(chosen: list[Sample], family: str) -> None:
    """Synthesise, and keep what was found after each."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"counts": {}}
    kept["tool"] = version()
    for sample in chosen:
        kept["counts"].setdefault(family, {})[sample.name] = count(sample, family)
        print(sample.name, kept["counts"][family][sample.name], flush=True)
        KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def check(chosen: list[Sample], family: str, device: Device) -> None:
    """Print predictions beside counts."""
    counts: Counts = json.loads(KEPT.read_text())["counts"]
    shares: dict[str, list[float]] = {"lut": [], "ff": []}
    for sample in chosen:
        if sample.name not in counts.get(family, {}):
            continue
        found = Resources(**counts[family][sample.name])
        said = sample.predict(device)
        exact = (said.dsp, said.bram18, said.uram) == (found.dsp, found.bram18, found.uram)
        for kind, values in shares.items():
            values.append(getattr(said, kind) / max(1, getattr(found, kind)) - 1)
        print(f"{said.lut:6} {found.lut:6} {shares['lut'][-1]:+7.1%}  {said.ff:6} {found.ff:6} "
              f"{shares['ff'][-1]:+7.1%}  {said.dsp:4} {said.bram18:4}"
              f"{'' if exact else f' not {found.dsp} {found.bram18}'}  {sample.name}")
    for kind, values in shares.items():
        errors = [abs(value) for value in values]
        if errors:
            print(f"{kind}: median {statistics.median(errors):.1%}, worst {max(errors):.1%}")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("run", "check"))
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--family", choices=DEVICES, default="xc7")
    given = parser.parse_args(words)
    device = boards.get(DEVICES[given.family]).device
    chosen = [sample for sample in samples() if sample.suits(device)
              and (not given.kinds or sample.kind in given.kinds)]
    if given.action == "run":
        run(chosen, given.family)
    else:
        check(chosen, given.family, device)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
