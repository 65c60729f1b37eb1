"""Boards that accelerators are planned for: one file each, found by its name."""

import dataclasses
import difflib
import functools
import importlib
import pkgutil

from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.device import Device


__all__ = ["Board", "get", "names"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """A device, and the memory that its fabric reaches.

    Parameters
    ----------
    name : :class:`str`
        What users call it: that of its file, ``-`` for ``_``.
    description : :class:`str`
        One line for a person.
    device : :class:`Device`
    dram_gbps : :class:`float`
        Peak of the memory, in 10 ** 9 bytes per second; 0 where there is none that is used.
    ports : :class:`int`
        Memory ports of the fabric.
    port_width : :class:`int`
        Bits of one of them.
    burst_beats : :class:`int`
        Beats of the longest burst that a port takes.
    memory_efficiency : :class:`float`
        Share of the peak that is planned with.
    """

    name: str
    description: str
    device: Device
    dram_gbps: float = 0.0
    ports: int = 0
    port_width: int = 0
    burst_beats: int = 0
    memory_efficiency: float = 0.9

    def bandwidth_gbps(self, clock_mhz: float) -> float:
        """What all ports together reach: the memory's derated peak, or the ports' own limit."""
        through_ports = self.ports * self.port_width / 8 * clock_mhz / 1000
        return min(self.dram_gbps * self.memory_efficiency, through_ports)

    @property
    def usual_io(self) -> str:
        """How accelerators have their inputs and outputs where nobody says: ``"dram"`` where the
        fabric reaches a memory, ``"stream"`` elsewhere."""
        return "dram" if self.ports else "stream"


@functools.cache
def names() -> tuple[str, ...]:
    """All boards, by name."""
    return tuple(sorted(module.name.replace("_", "-")
                        for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Board:
    """The board of this name, as it is written or nearly so (case, ``_`` for ``-``).

    Raises
    ------
    BadInput
        If there is none, with the names that are near.
    """
    written = name.strip().lower().replace("_", "-")
    if written not in names():
        near = difflib.get_close_matches(written, names(), n=3, cutoff=0.5)
        remedy = (f"Near it: {', '.join(near)}." if near
                  else f"There are: {', '.join(names())}.")
        raise BadInput(Problem(where="--board", reason=f"There is no board {name!r}.",
                               remedy=remedy))
    return importlib.import_module(f".{written.replace('-', '_')}", __name__).BOARD
