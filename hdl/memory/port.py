"""One port of the memory: its streams, served by a table or in turn."""

import dataclasses
import functools
import operator

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..deep_queue import word_queue_kind
from ..device import Device, Resources
from .arbiter import RoundRobin
from .axi import Axi
from .channel import BurstWalk, issue_layout
from .reader import ReadChannel, StreamReader
from .scheduler import Scheduler
from .writer import StreamWriter, WriteChannel


__all__ = ["MemoryPort", "MemorySpill", "MemoryStream", "MemoryStripe", "PortController"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryStream:
    """A stream that crosses a port.

    Parameters
    ----------
    name : :class:`str`
    direction : :class:`str`
        ``"read"`` or ``"write"``.
    burst : :class:`int`
        Words that are asked for at a time, a power of two.
    places : :class:`int`
        Words that its queue holds, those that are under way to it included: a burst's or more.

    Raises
    ------
    ValueError
        If a parameter is not so.
    """

    name: str
    direction: str
    burst: int
    places: int

    def __post_init__(self) -> None:
        if self.direction not in ("read", "write"):
            raise ValueError(f"{self.name}: A stream is read or written, "
                             f"not {self.direction!r}")
        if self.burst < 1 or self.burst & self.burst - 1:
            raise ValueError(f"{self.name}: Words of a burst must be a power of two, "
                             f"not {self.burst!r}")
        if self.places < max(2, self.burst):
            raise ValueError(f"{self.name}: There must be places for {max(2, self.burst)!r} words "
                             f"or more, not {self.places!r}")

    @property
    def is_read(self) -> bool:
        return self.direction == "read"

    @property
    def stride(self) -> int:
        """Bursts in memory from one of its own to the next."""
        return 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemorySpill(MemoryStream):
    """What is written to be read again by the same engine, or what is read so: each burst only when
    it is in the memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryStripe(MemoryStream):
    """A port's part of a stream that several ports share.

    Parameters
    ----------
    stripes : :class:`int`
        Ports: it has every so many-th burst.

    Raises
    ------
    ValueError
        If it would be alone.
    """

    stripes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stripes < 2:
            raise ValueError(f"{self.name}: Stripes must be 2 or more, not {self.stripes!r}")

    @property
    def stride(self) -> int:
        return self.stripes


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryPort:
    """A master of one memory port, and the streams that it serves.

    Each slot of the table is a cycle in which one stream may ask for a burst, unless the memory has
    to be waited for: it takes no request, or `outstanding` words are under way.

    All figures of time are in cycles. :attr:`request_latency`: from a slot to its request.
    :attr:`write_latency`: from a slot to the first word that is written. :meth:`word_latency`: from
    a word's transfer to its offer at the stream. :attr:`release`: from the transfer of a word that
    was read to the first slot that can use its place. :attr:`entry`: from the transfer of a word
    that is to be written to the first slot in which it counts. :attr:`command_latency`: from a
    command to the first slot for it. :attr:`answer_latency`: from the transfer of a word that
    was read, or of a response, to ``done`` and ``error``; a cycle later it is no longer under way.

    Parameters
    ----------
    axi : :class:`Axi`
    streams : tuple of :class:`MemoryStream`
    table : tuple of :class:`int`
        The stream of each slot; without any, streams are served in turn.
    outstanding : :class:`int`
        Words that have been asked for and not yet read, or not yet responded to, at most.

    Raises
    ------
    ValueError
        If a burst is too long for the port or for `outstanding`, a slot is for no stream, or a
        stream has no slot.
    """

    axi: Axi
    streams: tuple[MemoryStream, ...]
    table: tuple[int, ...] = ()
    outstanding: int = 64

    request_latency = ReadChannel.request_latency
    write_latency = WriteChannel.word_latency
    answer_latency = ReadChannel.arrival_latency
    release = StreamReader.release
    entry = StreamWriter.entry
    command_latency = BurstWalk.latency

    def __post_init__(self) -> None:
        names = [each.name for each in self.streams]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"A port must have streams of different names, not "
                             f"{', '.join(names) or 'none'}")
        for each in self.streams:
            if each.burst > min(self.axi.longest_burst, self.outstanding):
                raise ValueError(
                    f"{each.name}: A burst must have {self.axi.longest_burst!r} words, and "
                    f"{self.outstanding!r} outstanding ones, or fewer, not {each.burst!r}")
        if self.table and set(self.table) != set(range(len(self.streams))):
            raise ValueError(f"Slots must be of all of {len(self.streams)!r} streams, not of "
                             f"{sorted(set(self.table))!r}")

    def numbers(self, direction: str) -> list[int]:
        """The streams of one direction."""
        return [k for k, each in enumerate(self.streams) if each.direction == direction]

    def word_latency(self, number: int) -> int:
        """From the transfer of a word of this stream to its offer."""
        kind = word_queue_kind(self.axi.data_width, self.streams[number].places)
        return ReadChannel.arrival_latency + kind.latency

    def requests(self, direction: str) -> int:
        """Bursts of one direction that can be under way."""
        shortest = min(self.streams[k].burst for k in self.numbers(direction))
        return (self.outstanding - 1) // shortest + 1

    def resources(self, device: Device) -> Resources:
        """What the component takes on the device."""
        axi, count = self.axi, len(self.streams)
        parts = [(StreamReader if each.is_read else StreamWriter).cost(
            axi, burst=each.burst, places=each.places, device=device) for each in self.streams]
        kinds: list[tuple[str, type[ReadChannel] | type[WriteChannel]]] = [
            ("read", ReadChannel), ("write", WriteChannel)]
        for direction, channel in kinds:
            bursts = [self.streams[k].burst for k in self.numbers(direction)]
            if bursts:
                parts.append(channel.cost(axi, bursts=bursts, most=self.requests(direction),
                                          device=device))
        parts.append(Scheduler.cost(streams=count, slots=len(self.table), device=device)
                     if self.table else RoundRobin.cost(streams=count))
        lengths = {each.burst for each in self.streams}
        address = axi.address_width - (min(lengths) * axi.word_bytes).bit_length() + 1
        under_way = len(lengths) * (self.outstanding.bit_length() + 1)
        choice = Resources(lut=address * -(-count // 3) + 2 * count + 3 * under_way,
                           ff=address + (count - 1).bit_length() + 3 + under_way)
        return sum(parts, choice)

    def create(self) -> "PortController":
        return PortController(self)


class PortController(wiring.Component):
    """Hardware of :class:`MemoryPort`; a word per cycle in each direction.

    Parameters
    ----------
    spec : :class:`MemoryPort`

    Members
    -------
    axi : :py:`Out(axi.signature)`
        One id, in order. The channels of a direction that has no streams do nothing.
    of each stream, by its number
        command_k : :py:`In(stream.Signature(axi.command_layout))`
            Bursts to transfer.
        o_k : :py:`Out(stream.Signature(axi.data_width))`, or i_k : :py:`In(...)`
            Words that were read, or that are to be written.
        served_k : :py:`Out(1)`
            A burst of it is granted.
        done_k : :py:`Out(1)`
            The last word of a command came from the memory, or the last response to one did.
        error_k : :py:`Out(2)`
            0, or the SLVERR or DECERR that came; the word is delivered all the same.
        ready_k : :py:`Out(1)`
            Read: all that was asked for has come, and the queue has no places for another burst.
        written_k : :py:`Out(1)`
            Written, to be read again: the response to a burst came.
        stored_k : :py:`In(1)`
            Read, as it was written before: a burst that has not been asked for is in the memory.
    """

    def __init__(self, spec: MemoryPort):
        self._spec = spec
        axi = spec.axi
        words = stream.Signature(axi.data_width)
        members: dict = {"axi": Out(axi.signature)}
        for k, each in enumerate(spec.streams):
            members |= {f"command_{k}": In(stream.Signature(axi.command_layout)),
                        f"served_{k}": Out(1), f"done_{k}": Out(1), f"error_{k}": Out(2)}
            members |= {f"o_{k}": Out(words), f"ready_{k}": Out(1)} if each.is_read else {
                f"i_{k}": In(words)}
            if isinstance(each, MemorySpill):
                members |= {f"stored_{k}": In(1)} if each.is_read else {f"written_{k}": Out(1)}
        super().__init__(members)

    @property
    def spec(self) -> MemoryPort:
        return self._spec

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        count = len(spec.streams)
        m.submodules.policy = policy = Scheduler(count, spec.table) if spec.table \
            else RoundRobin(count)
        ends = [self._stream(m, k) for k in range(count)]
        m.d.comb += [
            policy.requests.eq(Cat(end.request for end in ends)),
            Cat(getattr(self, f"served_{k}") for k in range(count)).eq(policy.grant),
            Cat(end.take for end in ends).eq(policy.grant),
        ]
        # What is chosen does not wait for whether it is granted.
        chosen = Signal(issue_layout(spec.axi, streams=count))
        issue = Signal.like(chosen, reset_less=True)
        for k, (each, end) in enumerate(zip(spec.streams, ends, strict=True)):
            with m.If(policy.select[k]):
                m.d.comb += [chosen.address.eq(end.address), chosen.last.eq(end.last),
                             chosen.length.eq(each.burst - 1), chosen.stream.eq(k)]
        m.d.sync += issue.eq(chosen)

        room, returned = {}, []
        for direction, connect in (("read", self._reads), ("write", self._writes)):
            numbers = spec.numbers(direction)
            if numbers:
                channel = connect(m, numbers, ends, returned)
                self._grant(m, channel, numbers, policy, issue)
                room |= dict.fromkeys(numbers, channel.room)
        fits = self._under_way(m, policy, returned)
        m.d.comb += policy.room.eq(Cat(room[k] & fits[each.burst]
                                       for k, each in enumerate(spec.streams)))
        return m

    def _stream(self, m, number):
        """The part of one stream."""
        spec = self._spec
        each = spec.streams[number]
        shape = {"burst": each.burst, "places": each.places, "stride": each.stride}
        spilled = isinstance(each, MemorySpill)
        end = (StreamReader(spec.axi, **shape, limited=spilled) if each.is_read
               else StreamWriter(spec.axi, **shape))
        m.submodules[f"stream_{number}"] = end
        wiring.connect(m, wiring.flipped(getattr(self, f"command_{number}")), end.command)
        if each.is_read:
            wiring.connect(m, end.o, wiring.flipped(getattr(self, f"o_{number}")))
            m.d.comb += getattr(self, f"ready_{number}").eq(end.full)
            if spilled:
                m.d.comb += end.allowed.eq(getattr(self, f"stored_{number}"))
        else:
            wiring.connect(m, wiring.flipped(getattr(self, f"i_{number}")), end.i)
        return end

    def _grant(self, m, channel, numbers, policy, issue):
        """Bursts of one direction to its channel, in the cycle after they were granted."""
        granted = functools.reduce(operator.or_, (policy.grant[k] for k in numbers))
        m.d.comb += channel.reserve.eq(granted)
        m.d.sync += channel.i_valid.eq(granted)
        m.d.comb += [channel.i_payload.address.eq(issue.address),
                     channel.i_payload.length.eq(issue.length),
                     channel.i_payload.last.eq(issue.last)]
        with m.Switch(issue.stream):
            for place, k in enumerate(numbers):
                with m.Case(k):
                    m.d.comb += channel.i_payload.stream.eq(place)

    def _reads(self, m, numbers, ends, returned):
        """Words that come, to their streams."""
        spec = self._spec
        m.submodules.read = channel = ReadChannel(
            spec.axi, bursts=[spec.streams[k].burst for k in numbers],
            most=spec.requests("read"))
        self._connect(m, channel, spec.axi.read_signature)
        for place, k in enumerate(numbers):
            arrives = channel.arrives[place]
            m.d.comb += [ends[k].i_valid.eq(arrives), ends[k].i_payload.eq(channel.word)]
            self._report(m, k, channel, arrives)
        returned.append(channel.arrives.any())
        return channel

    def _writes(self, m, numbers, ends, returned):
        """Words and responses of what is written."""
        spec = self._spec
        m.submodules.write = channel = WriteChannel(
            spec.axi, bursts=[spec.streams[k].burst for k in numbers],
            most=spec.requests("write"))
        self._connect(m, channel, spec.axi.write_signature)
        for place, k in enumerate(numbers):
            wiring.connect(m, ends[k].o, getattr(channel, f"i_{place}"))
            self._report(m, k, channel, channel.answers[place])
            if isinstance(spec.streams[k], MemorySpill):
                m.d.comb += getattr(self, f"written_{k}").eq(channel.answers[place])
        returned.append(functools.reduce(operator.or_, (
            Mux(channel.answers[place], spec.streams[k].burst, 0)
            for place, k in enumerate(numbers))))
        return channel

    def _report(self, m, number, channel, came):
        """What a stream is told of an answer."""
        bad = channel.response[1]
        m.d.comb += [
            getattr(self, f"done_{number}").eq(came & channel.ends),
            getattr(self, f"error_{number}").eq(Mux(came & bad, channel.response, 0)),
        ]

    def _connect(self, m, channel, signature):
        for name, member in signature.members.items():
            inner, outer = getattr(channel.axi, name), getattr(self.axi, name)
            m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)

    def _under_way(self, m, policy, returned):
        """For each length of a burst, whether so many more words may be under way."""
        spec = self._spec
        lengths = sorted({each.burst for each in spec.streams})
        asked = Signal(range(max(lengths) + 1))
        back = sum(returned)
        with m.If(policy.grant.any()):
            for k, each in enumerate(spec.streams):
                with m.If(policy.select[k]):
                    m.d.comb += asked.eq(each.burst)
        fits = {}
        for length in lengths:
            beyond = Signal(range(-length, spec.outstanding - length + 1),
                            init=spec.outstanding - length, name=f"beyond_{length}")
            m.d.sync += beyond.eq(beyond - asked + back)
            fits[length] = beyond >= 0
        return fits
