"""What is proven, at which sizes, and how long it takes.

    PYTHONPATH=tests/formal python benchmarks/proofs.py [SECONDS]

writes ``results/proofs.json`` and ``results/proofs.md``; a proof is given up after so many seconds.
All are proofs by property-directed reachability (ABC) of circuits that Yosys makes: of runs of any
length. What each harness asserts is in ``tests/formal``.
"""

import dataclasses
import json
import pathlib
import sys

from ports import ReadHarness, WalkHarness, WriteHarness
from properties import BufferHarness, QueueHarness, SchedulerHarness, TurnsHarness
from prover import decide


RESULTS = pathlib.Path(__file__).resolve().with_name("results")
PORTS = (
    {"bursts": (2, 2), "places": (2, 2), "outstanding": 2},
    {"bursts": (1, 1), "places": (2, 2), "outstanding": 2},
    {"bursts": (2, 2), "places": (4, 3), "outstanding": 4},
)
CASES = (
    *((QueueHarness, {"places": places, "stages": stages})
      for places, stages in ((3, 0), (4, 1), (6, 2), (8, 3))),
    *((BufferHarness, {"places": places}) for places in (4, 8)),
    *((SchedulerHarness, {"table": table})
      for table in ((0, 1, 0, 2), (0, 1, 2, 0, 3, 3, 0, 1, 4, 0, 2, 1))),
    *((TurnsHarness, {"count": count}) for count in (3, 8)),
    *((WalkHarness, {"burst": burst, "bits": bits}) for burst, bits in ((256, 2), (64, 4))),
    *((kind, {**sizes, "table": table, "aspect": aspect}) for sizes in PORTS
      for table in ((0, 1), ()) for kind in (ReadHarness, WriteHarness)
      for aspect in ("requests", "places", "errors", "words")),
)


def table(rows: list[dict]) -> str:
    """The results as a page."""
    lines = ["# Proofs", "", f"`{__doc__.splitlines()[2].strip()}`", "",
             "| harness | sizes | result | registers | gates | seconds |",
             "|---|---|---|--:|--:|--:|"]
    lines += [f"| {row['harness']} | {row['sizes']} | {row['result']} | {row['registers']} | "
              f"{row['gates']} | {row['seconds']} |" for row in rows]
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> int:
    timeout = int(words[0]) if words else 300
    rows = []
    for harness, sizes in CASES:
        verdict = decide(harness(**sizes), timeout=timeout)
        rows.append(dataclasses.asdict(verdict) | {
            "harness": harness.__name__.removesuffix("Harness"),
            "sizes": ", ".join(f"{name} {value}" for name, value in sizes.items()),
            "seconds": round(verdict.seconds, 1)})
        print(*rows[-1].values(), flush=True)
        (RESULTS / "proofs.json").write_text(json.dumps(rows, indent=1) + "\n")
        (RESULTS / "proofs.md").write_text(table(rows))
    return int(any(row["result"] == "refuted" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
