"""AXI4 as a port's master speaks it: one id, bursts of incrementing addresses, in order."""

import dataclasses

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


__all__ = ["BOUNDARY", "COMMAND_BURSTS", "Axi"]


# Bytes: no burst crosses a multiple of these (AMBA AXI4, A3.4.1).
BOUNDARY = 4096
# Bits of the number of bursts in a command, unless told otherwise.
COMMAND_BURSTS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axi:
    """A memory port of the board.

    Parameters
    ----------
    data_width : :class:`int`
        Bits of a word: a power of two between 32 and 1024.
    address_width : :class:`int`
        Bits of a byte's address.
    burst_beats : :class:`int`
        Words of the longest burst that the other side takes, 256 or fewer.
    command_bits : :class:`int`
        Of the number of bursts in a command.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    data_width: int
    address_width: int = 32
    burst_beats: int = 256
    command_bits: int = COMMAND_BURSTS

    def __post_init__(self) -> None:
        if not 32 <= self.data_width <= 1024 or self.data_width & self.data_width - 1:
            raise ValueError(f"Data width must be a power of two between 32 and 1024 bits, "
                             f"not {self.data_width!r}")
        if not 12 < self.address_width <= 64:
            raise ValueError(f"Address width must be between 13 and 64 bits, "
                             f"not {self.address_width!r}")
        if not 1 <= self.burst_beats <= 256:
            raise ValueError(f"A burst must have between 1 and 256 beats, "
                             f"not {self.burst_beats!r}")

    @property
    def word_bytes(self) -> int:
        """Bytes of a word."""
        return self.data_width // 8

    @property
    def longest_burst(self) -> int:
        """Words of the longest burst that may start at any multiple of its own length."""
        beats = min(self.burst_beats, BOUNDARY // self.word_bytes)
        return 1 << beats.bit_length() - 1

    @property
    def command_layout(self) -> data.StructLayout:
        """So many bursts, one or more, from this address on; a multiple of the burst's bytes."""
        return data.StructLayout({"address": self.address_width, "bursts": self.command_bits})

    @property
    def read_signature(self) -> wiring.Signature:
        """The channels that data are read by."""
        return wiring.Signature(self._request("ar") | {
            "rdata": In(self.data_width), "rresp": In(2), "rlast": In(1), "rvalid": In(1),
            "rready": Out(1)})

    @property
    def write_signature(self) -> wiring.Signature:
        """The channels that data are written by."""
        return wiring.Signature(self._request("aw") | {
            "wdata": Out(self.data_width), "wstrb": Out(self.word_bytes), "wlast": Out(1),
            "wvalid": Out(1), "wready": In(1), "bresp": In(2), "bvalid": In(1), "bready": Out(1)})

    @property
    def signature(self) -> wiring.Signature:
        """All five channels, as the master has them."""
        return wiring.Signature({**self.write_signature.members, **self.read_signature.members})

    def _request(self, channel: str) -> dict[str, wiring.Member]:
        return {f"{channel}addr": Out(self.address_width), f"{channel}len": Out(8),
                f"{channel}size": Out(3), f"{channel}burst": Out(2), f"{channel}cache": Out(4),
                f"{channel}prot": Out(3), f"{channel}valid": Out(1), f"{channel}ready": In(1)}
