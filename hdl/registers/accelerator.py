"""The registers of an accelerator that reaches its memory itself."""

from collections.abc import Sequence

from amaranth import *

from ..memory.axi import BOUNDARY, Axi
from ..memory.control import ERRORS, NetworkControl, NetworkController
from ..memory.monitor import PortMonitor
from .description import Field, Register, RegisterMap
from .hardware import RegisterFile


__all__ = ["MAGIC", "VERSION", "accelerator_registers", "connect_network", "connect_port"]


MAGIC = 0x66636E78  # "fcnx"
VERSION = 1

# Networks that the interrupt's registers have bits for.
MOST_NETWORKS = 16

_PORTS_START = 0x40
_PORT_STRIDE = 0x20
_BASES_START = 0x30

_PAGE_BITS = BOUNDARY.bit_length() - 1


def accelerator_registers(networks: Sequence[NetworkControl], ports: Sequence[Axi],
                          digest: str) -> RegisterMap:
    """The register map of a set of networks.

    The identification and the interrupt are first, then a block for each port of the memory, then
    one for each network. The blocks of the networks are all of one size, and what all networks have
    is at the same place in each: the constants ``NETWORK_START``, ``NETWORK_STRIDE``, and the same
    of ``PORT``, say where.

    Parameters
    ----------
    networks : sequence of :class:`NetworkControl`
    ports : sequence of :class:`Axi`
    digest : :class:`str`
        64 hexadecimal digits that tell this design from others; register ``digest_0`` has the first
        eight.

    Raises
    ------
    ValueError
        If there is no network, or more than the interrupt has bits for, or the digest is none.
    """
    if not 1 <= len(networks) <= MOST_NETWORKS:
        raise ValueError(f"Networks must be between 1 and {MOST_NETWORKS}, "
                         f"not {len(networks)!r}")
    if len(digest) != 64:
        raise ValueError(f"A digest must have 64 hexadecimal digits, not {len(digest)!r}")
    bases = max(2 * _addresses(network) for network in networks)
    stride = 1 << (_BASES_START + 4 * bases - 1).bit_length()
    start = -(-(_PORTS_START + _PORT_STRIDE * len(ports)) // stride) * stride
    registers = _identification(len(networks), len(ports), digest)
    for k, port in enumerate(ports):
        registers += _port(f"port_{k}", _PORTS_START + _PORT_STRIDE * k, port)
    for k, network in enumerate(networks):
        registers += _network(f"network_{k}", start + stride * k, network)
    return RegisterMap(
        registers=tuple(registers), interrupt=("interrupt_status", "interrupt_enable"),
        extras=(("port_start", _PORTS_START), ("port_stride", _PORT_STRIDE),
                ("network_start", start), ("network_stride", stride)))


def _addresses(network: NetworkControl) -> int:
    """Base addresses that a network takes, that of its weights, there or not, included."""
    return 1 + network.buffers * (len(network.inputs) + len(network.outputs))


def _identification(networks: int, ports: int, digest: str) -> list[Register]:
    def events(access: str, sense: str) -> tuple[Field, ...]:
        return (
            Field(name="done", low=0, width=networks, access=access,
                  doc=f"A bit of each network: {sense} a frame is done"),
            Field(name="error", low=16, width=networks, access=access,
                  doc=f"A bit of each network: {sense} an error flag has been set"))
    return [
        Register(name="magic", address=0x00, fields=(
            Field(access="constant", reset=MAGIC, doc="Tells that this is such an accelerator"),)),
        Register(name="version", address=0x04, fields=(
            Field(access="constant", reset=VERSION, doc="Of the layout of these registers"),)),
        Register(name="counts", address=0x08, fields=(
            Field(name="networks", low=0, width=8, access="constant", reset=networks,
                  doc="Networks"),
            Field(name="ports", low=8, width=8, access="constant", reset=ports,
                  doc="Ports of the memory"))),
        Register(name="interrupt_enable", address=0x0C, doc="What raises the interrupt",
                 fields=events("rw", "whether the interrupt is up once")),
        Register(name="interrupt_status", address=0x10, doc="What happened",
                 fields=events("w1c", "that")),
        *(Register(name=f"digest_{k}", address=0x20 + 4 * k, fields=(
            Field(access="constant", reset=int(digest[8 * k:8 * k + 8], 16),
                  doc=f"Digits {8 * k} to {8 * k + 7} of the plan's digest"),))
          for k in range(8)),
    ]


def _port(name: str, address: int, axi: Axi) -> list[Register]:
    step = axi.word_bytes.bit_length()
    return [
        Register(name=f"{name}_{kind}", address=address + 8 * k, words=2, fields=(
            Field(width=64, access="counter", step=bits, doc=doc),))
        for k, (kind, bits, doc) in enumerate((
            ("read_bytes", step, "Bytes that came through this port"),
            ("written_bytes", step, "Bytes that went through this port"),
            ("busy_cycles", 1, "Cycles in which data crossed it, one way or the other")))]


def _network(name: str, address: int, network: NetworkControl) -> list[Register]:
    def value(kind: str, offset: int, field: Field, words: int = 1) -> Register:
        return Register(name=f"{name}_{kind}", address=address + offset, words=words,
                        fields=(field,))
    return [
        Register(name=f"{name}_control", address=address, doc=f"Network {network.name}", fields=(
            Field(name="start", low=0, width=1, access="pulse",
                  doc="Begin with the frames that are released; all base addresses are set"),
            Field(name="stop", low=1, width=1, access="pulse",
                  doc="Begin no further frame; it runs until those that have begun are done"),
            Field(name="clear", low=2, width=1, access="pulse",
                  doc="While it does not run: error flags and frame counters, `released` included, "
                      "to zero"),
            Field(name="reload", low=3, width=1, access="pulse",
                  doc="Load the weights anew at this start, or the next"))),
        Register(name=f"{name}_status", address=address + 0x04, fields=(
            Field(name="running", low=0, width=1, access="ro",
                  doc="It has been started, and has not come to its end"),
            Field(name="idle", low=1, width=1, access="ro", doc="It does not run"),
            Field(name="error", low=2, width=1, access="ro",
                  doc="An error flag is set, `starved` aside"))),
        Register(name=f"{name}_errors", address=address + 0x08, doc="Error flags", fields=tuple(
            Field(name=flag, low=bit, width=1, access="w1c", cleared=True, doc=doc)
            for bit, (flag, doc) in enumerate(ERRORS.items()))),
        value("released", 0x0C, Field(
            access="rw", cleared=True,
            doc="Frames that may begin, all in all: of each, the input is in its buffer, and the "
                "output's buffer may be written")),
        value("started", 0x10, Field(access="ro", doc="Frames that have begun")),
        value("done", 0x14, Field(access="ro", doc="Frames whose outputs are in the memory")),
        value("interval", 0x18, Field(
            access="ro", doc="Cycles between the last two frames that were done")),
        value("latency", 0x1C, Field(
            access="ro", doc="Cycles from a frame's first beat into the engine until it was done, "
                             "of the last one that was measured")),
        value("cycles", 0x20, Field(width=64, access="counter", cleared=True,
                                    doc="Cycles that it ran since its start"), words=2),
        value("starved_cycles", 0x28, Field(
            access="counter", cleared=True,
            doc="Cycles since its start in which the engine waited for the memory's data")),
        value("blocked_cycles", 0x2C, Field(
            access="counter", cleared=True,
            doc="Cycles since its start in which the engine's output waited for the memory")),
        *_bases(name, address + _BASES_START, network),
    ]


def _bases(name: str, address: int, network: NetworkControl) -> list[Register]:
    """Where its weights and frames are; a multiple of 4 KiB, and 0 is none."""
    low = _PAGE_BITS

    def base(kind: str, place: int, doc: str) -> Register:
        return Register(name=f"{name}_{kind}", address=address + 8 * place, words=2, fields=(
            Field(name="base", low=low, width=network.axi.address_width - low, access="rw",
                  doc=f"{doc}, in 4 KiB"),))

    registers = []
    if network.has_weights:
        registers.append(base("weights", 0, "Where its weights start"))
    place = 1
    for direction, transfers in (("input", network.inputs), ("output", network.outputs)):
        for k, transfer in enumerate(transfers):
            for buffer in range(network.buffers):
                registers.append(base(f"{direction}_{k}_{buffer}", place,
                                      f"Where buffer {buffer} of {transfer.name} starts"))
                place += 1
    return registers


def connect_port(m, registers: RegisterFile, number: int, monitor: PortMonitor) -> None:
    """Count what crosses a port of the memory."""
    for name, step in (("read_bytes", monitor.read_bytes), ("busy_cycles", monitor.busy),
                       ("written_bytes", monitor.written_bytes)):
        m.d.comb += getattr(registers, f"port_{number}_{name}_step").eq(step)


def connect_network(m, registers: RegisterFile, number: int, spec: NetworkControl,
                    control: NetworkController) -> None:
    """Connect all registers of a network with its control."""
    def port(name: str):
        return getattr(registers, f"network_{number}_{name}")
    for name in ("start", "stop", "clear", "reload"):
        m.d.comb += getattr(control, name).eq(port(f"control_{name}"))
    for base in spec.bases:
        m.d.comb += getattr(control, base)[_PAGE_BITS:].eq(port(f"{base}_base"))
    for name in ("started", "done", "interval", "latency"):
        m.d.comb += port(name).eq(getattr(control, name))
    for name, step in (("cycles", control.running), ("starved_cycles", control.starving),
                       ("blocked_cycles", control.blocking)):
        m.d.comb += [port(f"{name}_step").eq(step), port(f"{name}_clear").eq(control.starting)]
    for bit, flag in enumerate(ERRORS):
        m.d.comb += [port(f"errors_{flag}_set").eq(control.errors[bit]),
                     port(f"errors_{flag}_clear").eq(control.cleared)]
    faults = [flag for flag in ERRORS if flag != "starved"]
    m.d.comb += [
        control.released.eq(port("released")), port("released_clear").eq(control.cleared),
        port("status_running").eq(control.running), port("status_idle").eq(~control.running),
        port("status_error").eq(Cat(port(f"errors_{flag}") for flag in faults).any()),
        registers.interrupt_status_done_set[number].eq(control.frame_done),
        registers.interrupt_status_error_set[number].eq(
            Cat(control.errors[bit] for bit, flag in enumerate(ERRORS) if flag in faults).any()),
    ]
