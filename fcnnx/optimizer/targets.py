"""What is wanted of each network."""

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Self

from fcnnx.errors import BadInput, Problem


__all__ = ["Target", "merge_targets"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What is wanted of one network.

    Parameters
    ----------
    network : :class:`str`
    fps : :class:`float` or None
        Frames per second, at least.
    latency_ms : :class:`float` or None
        From the first input of a frame to its last output, in milliseconds, at most.
    weight : :class:`float` or None
        How much it counts against others: 1 where it is None.
    """

    network: str
    fps: float | None = None
    latency_ms: float | None = None
    weight: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``NAME=30fps``, ``NAME=10ms``, ``NAME=2.0``, or several: ``NAME=30fps,2.0``.

        Raises
        ------
        BadInput
            If it is none of these, or says one thing twice.
        """
        name, equals, wants = text.rpartition("=")
        if not (equals and name):
            raise _bad(f"{text!r} is not of the form NAME=VALUE.")
        values: dict[str, float] = {}
        for want in wants.split(","):
            match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(fps|ms|)\s*", want)
            try:
                number = float(match[1]) if match else math.nan
            except ValueError:
                number = math.nan
            if not match or not 0 < number < math.inf:
                raise _bad(f"{want.strip()!r} of {name} is not a target.",
                           "Write frames per second as 30fps, a latency as 10ms, a weight as 2.0; "
                           "all are positive.")
            kind = {"fps": "fps", "ms": "latency_ms", "": "weight"}[match[2]]
            if kind in values:
                raise _bad(f"{name} has two targets of one kind: {wants!r}.")
            values[kind] = number
        return cls(network=name, **values)

    def most_cycles(self, clock_mhz: float) -> int | None:
        """The longest interval that gives the frames per second."""
        return None if self.fps is None else math.floor(clock_mhz * 1e6 / self.fps)

    def most_latency(self, clock_mhz: float) -> int | None:
        """The longest latency, in cycles."""
        return None if self.latency_ms is None else math.floor(clock_mhz * 1e3 * self.latency_ms)


def _bad(reason: str, remedy: str = "") -> BadInput:
    return BadInput(Problem(where="--targets", reason=reason, remedy=remedy))


def merge_targets(targets: Iterable[Target], networks: Sequence[str]) -> dict[str, Target]:
    """One target for each network, in their order.

    Raises
    ------
    BadInput
        If a target names no network, or two say different things of one; all such are told.
    """
    merged = {name: Target(network=name) for name in networks}
    problems = []
    for target in targets:
        known = merged.get(target.network)
        if known is None:
            near = difflib.get_close_matches(target.network, networks, n=1)
            problems.append(Problem(
                where="--targets", reason=f"There is no network {target.network!r}.",
                remedy=f"Did you mean {near[0]}?" if near
                else f"There are: {', '.join(networks)}."))
            continue
        wanted = {field: value for field in ("fps", "latency_ms", "weight")
                  if (value := getattr(target, field)) is not None}
        clash = [field for field, value in wanted.items()
                 if getattr(known, field) not in (None, value)]
        if clash:
            problems.append(Problem(
                where="--targets", reason=f"Targets of {target.network} contradict each other: "
                f"{', '.join(clash)} is given twice, and differs.", remedy="Give each once."))
        merged[target.network] = dataclasses.replace(known, **wanted)
    if problems:
        raise BadInput(*problems)
    return merged
