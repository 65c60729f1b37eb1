"""What was predicted beside what was simulated and synthesised."""

from collections.abc import Iterator, Mapping
from typing import Any

from .numbers import KINDS


__all__ = ["with_measurements"]


CYCLES = ("interval_cycles", "latency_cycles", "mac_efficiency")


def with_measurements(report: Mapping[str, Any], simulation: Mapping[str, Any] | None,
                      synthesis: Mapping[str, Any] | None) -> dict[str, Any]:
    """The report with its keys ``simulation``, ``synthesis`` and ``comparison``.

    Parameters
    ----------
    report : mapping
        As in report.json.
    simulation, synthesis : mappings or None
        As in simulation.json and synthesis.json; None where there is none.
    """
    counted = None if synthesis is None else {
        key: value for key, value in synthesis.items() if key not in ("modules", "predicted")}
    rows = [*_cycles(report, simulation), *_amounts(report, synthesis)]
    return {**report, "simulation": None if simulation is None else dict(simulation),
            "synthesis": counted, "comparison": rows}


def _cycles(report: Mapping[str, Any],
            simulation: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    # Tables hold whatever the jitter; ports that serve in turn promise no cycle.
    schedule = report["schedule"]
    exact = (schedule["policy"] == "cyclic" if schedule
             else simulation is None or simulation.get("stalls") is None)
    for name, network in report["networks"].items():
        found = (simulation or {"networks": {}})["networks"].get(name, {})
        for key in CYCLES:
            # Without an interval, which takes several frames, there is no efficiency either.
            known = found.get(key) if found.get("interval_cycles") or key != CYCLES[2] else None
            row = _row(name, key, network[key], simulated=known)
            yield row if exact else row | {"ratio": None}
        if schedule and exact:
            # Frames are paced: what holds for the first holds for each.
            yield _row(name, "longest_latency_cycles", network["latency_cycles"],
                       simulated=found.get("longest_latency_cycles"))


def _amounts(report: Mapping[str, Any],
             synthesis: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    for kind in KINDS:
        found = None if synthesis is None else synthesis[kind]
        if report["total"][kind] or report["budget"][kind] or found:
            yield _row(None, kind, report["total"][kind], synthesised=found)
    yield _row(None, "clock_mhz", report["clock_mhz"],
               synthesised=None if synthesis is None else synthesis["fmax_mhz"])


def _row(network: str | None, figure: str, predicted: float, **measured: float | None
         ) -> dict[str, Any]:
    """One figure; the ratio is predicted by measured, 1 where both are 0."""
    (found,) = measured.values()
    ratio = predicted / found if found else 1.0 if found == predicted else None
    return {"network": network, "figure": figure, "predicted": predicted, "simulated": None,
            "synthesised": None, **measured, "ratio": ratio}
