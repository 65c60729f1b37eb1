"""What is proven, at which sizes, and how long it takes.

    PYTHONPATH=tests/formal python benchmarks/proofs.py [SECONDS]

writes ``results/proofs.json`` and ``results/proofs.md``; a proof is given up after so many seconds.
All are proofs by property-directed reachability (ABC) of circuits that Yosys makes, or, where no
registers are left, by signal correspondence before it, which is an induction: of runs of any
length. What each harness asserts is in ``tests/formal``. What was decided of the same circuit by
the same means is not decided again, nor is what was given up tried again in no more time.
"""

import dataclasses
import sys
from typing import Any

import prover
from ports import ReadHarness, WalkHarness, WriteHarness
from properties import (
    BufferHarness,
    Harness,
    QueueHarness,
    SchedulerHarness,
    SpillHarness,
    TurnsHarness,
)
from stripes import MergeHarness, SplitHarness

from keeping import KEPT, Figures, Record


PORTS = (
    {"bursts": (2, 2), "places": (2, 2), "outstanding": 2},
    {"bursts": (1, 1), "places": (2, 2), "outstanding": 2},
    {"bursts": (2, 2), "places": (4, 3), "outstanding": 4},
)
LARGE = {"bursts": (4, 4), "places": (8, 8), "outstanding": 8}
Sizes = dict[str, Any]
CASES: tuple[tuple[type[Harness], Sizes], ...] = (
    *((QueueHarness, {"places": places, "stages": stages})
      for places, stages in ((3, 0), (4, 1), (6, 2), (8, 3))),
    *((BufferHarness, {"places": places}) for places in (4, 8)),
    *((SchedulerHarness, {"table": table})
      for table in ((0, 1, 0, 2), (0, 1, 2, 0, 3, 3, 0, 1, 4, 0, 2, 1),
                    (0, 1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 1) * 2)),
    *((TurnsHarness, {"count": count}) for count in (3, 8, 16)),
    *((SpillHarness, {"bursts": bursts}) for bursts in (5, 64)),
    *((WalkHarness, {"burst": burst, "bits": bits}) for burst, bits in ((256, 2), (64, 4))),
    *((kind, {"burst": burst, "words": words, "stripes": stripes})
      for burst, words, stripes in ((1, 7, 4), (4, 20, 2), (2, 12, 3), (8, 88, 4), (16, 208, 4))
      for kind in (MergeHarness, SplitHarness)),
    *((kind, {**sizes, "table": table, "aspect": aspect}) for sizes in PORTS
      for table in ((0, 1), ()) for kind in (ReadHarness, WriteHarness)
      for aspect in ("requests", "places", "errors", "words")),
    *((kind, {**LARGE, "table": table, "aspect": aspect}) for table in ((0, 1), ())
      for kind in (ReadHarness, WriteHarness) for aspect in ("requests", "errors")),
)


def table(rows: list[Figures]) -> str:
    """The results as a page."""
    lines = ["# Proofs", "", f"`{__doc__.splitlines()[2].strip()}`", "",
             "| harness | sizes | result | registers | gates | seconds |",
             "|---|---|---|--:|--:|--:|"]
    lines += [f"| {row['harness']} | {row['sizes']} | {result(row)} | {row['registers']} | "
              f"{row['gates']} | {row['seconds']} |" for row in rows]
    return "\n".join(lines) + "\n"


def result(row: Figures) -> str:
    return f"given up after {row['limit']} s" if row["result"] == "unknown" else row["result"]


def decide(record: Record, kind: type[Harness], sizes: Sizes, limit: int) -> Figures:
    """What is kept of a harness, or else what becomes of it within so many seconds."""
    harness = kind.__name__.removesuffix("Harness")
    named = {"harness": harness, "limit": limit,
             "sizes": ", ".join(f"{name} {value}" for name, value in sizes.items())}
    part = f"{harness} {named['sizes']}"
    if (kept := record.parts.get(part)) and kept["result"] == "unknown" and kept["limit"] < limit:
        del record.parts[part]

    def verdict() -> Figures:
        found = dataclasses.asdict(prover.decide(kind(**sizes), timeout=limit))
        return named | found | {"seconds": round(found["seconds"], 1)}

    return record.part(part, (prover.circuit(kind(**sizes)), prover.SCRIPT, prover.PROOF), verdict)


def main(words: list[str]) -> int:
    limit = int(words[0]) if words else 300
    record, rows = Record("proofs"), []
    for kind, sizes in CASES:
        rows.append(decide(record, kind, sizes, limit))
        (KEPT / "proofs.md").write_text(table(rows))
    return int(any(row["result"] == "refuted" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
