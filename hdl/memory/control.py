"""The control of one network: from a start to commands for its streams, frame by frame."""

import dataclasses

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..device import Device, Resources
from .axi import BOUNDARY, COMMAND_BURSTS, Axi


__all__ = ["ERRORS", "FATAL", "NetworkControl", "NetworkController", "Transfer",
           "stripe_name"]


# The error flags of a network, lowest bit first, with what they say.
ERRORS = {
    "read_slverr": "A read was answered with SLVERR",
    "read_decerr": "A read was answered with DECERR",
    "write_slverr": "A write was answered with SLVERR",
    "write_decerr": "A write was answered with DECERR",
    "no_base": "It was started without a base address; nothing else happened",
    "running": "It was started while it ran; nothing else happened",
    "stalled": "The memory owed an answer for longer than its timeout",
    "starved": "The engine waited for data of the memory; no error by itself",
}
# Those that let no further frame begin.
FATAL = ("read_slverr", "read_decerr", "write_slverr", "write_decerr", "stalled")

_PAGE_BITS = BOUNDARY.bit_length() - 1
_RESPONSES = {"slverr": 0b10, "decerr": 0b11}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transfer:
    """What one stream moves in a frame, or once.

    Parameters
    ----------
    name : :class:`str`
        Of what it moves, for people.
    bursts : :class:`int`
        Of the stream's length.
    offset : :class:`int`
        Bytes from the base address.
    lead : :class:`int`
        Bytes from there to its first burst.
    stride : :class:`int`
        Bytes from a frame's place to that of the next, of as many as there are buffers, of what is
        spilled; 0 where it is always the same place, or each has a base address.
    others : tuple of :class:`Transfer`
        Its further stripes, which go over other ports.

    Raises
    ------
    ValueError
        If there are no bursts, or more than a command can name, or offset or stride are no multiple
        of 4 KiB, or the lead is as much.
    """

    name: str
    bursts: int
    offset: int = 0
    lead: int = 0
    stride: int = 0
    others: tuple["Transfer", ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.bursts < 1 << COMMAND_BURSTS:
            raise ValueError(f"{self.name}: Bursts must be between 1 and "
                             f"{(1 << COMMAND_BURSTS) - 1}, not {self.bursts!r}")
        if self.offset < 0 or self.offset % BOUNDARY:
            raise ValueError(f"{self.name}: Offset must be a multiple of {BOUNDARY}, "
                             f"not {self.offset!r}")
        if self.stride < 0 or self.stride % BOUNDARY:
            raise ValueError(f"{self.name}: Stride must be a multiple of {BOUNDARY}, "
                             f"not {self.stride!r}")
        if not 0 <= self.lead < BOUNDARY:
            raise ValueError(f"{self.name}: Lead must be less than {BOUNDARY}, not {self.lead!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkControl:
    """What a network moves, and when.

    Parameters
    ----------
    name : :class:`str`
    axi : :class:`Axi`
        For addresses and commands.
    inputs, outputs : tuples of :class:`Transfer`
        One or more; a frame each. Each has base addresses of its own.
    weights : tuple of :class:`Transfer`
        Those that are streamed; read anew for each frame, from the base address of the weights.
    spills, refills : tuples of :class:`Transfer`
        What is written to be read again for the same frame, and that reading; as many of both, from
        the same base address.
    load : :class:`Transfer`, or None
        What fills the memories on chip at the start, from the same base address.
    buffers : :class:`int`
        Base addresses of an input or output; a power of two. Frame k is in buffer k mod buffers.
    in_flight : :class:`int`
        Frames that have begun and are not done, at most: as many as are in the engine at once, and
        three more.

    Raises
    ------
    ValueError
        If there is no input or no output, or a number is out of its range, or frames that are
        spilled have no place each.
    """

    name: str
    axi: Axi
    inputs: tuple[Transfer, ...]
    outputs: tuple[Transfer, ...]
    weights: tuple[Transfer, ...] = ()
    spills: tuple[Transfer, ...] = ()
    refills: tuple[Transfer, ...] = ()
    load: Transfer | None = None
    buffers: int = 2
    in_flight: int = 63

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise ValueError(f"{self.name}: A network must have an input and an output")
        if self.buffers < 1 or self.buffers & self.buffers - 1:
            raise ValueError(f"{self.name}: Buffers must be a power of two, not {self.buffers!r}")
        if self.in_flight < 2:
            raise ValueError(f"{self.name}: Frames in flight must be 2 or more, "
                             f"not {self.in_flight!r}")
        if self.spills and self.in_flight > self.buffers:
            raise ValueError(f"{self.name}: {self.in_flight!r} frames in flight that are spilled "
                             f"must have as many buffers, not {self.buffers!r}")

    @property
    def has_weights(self) -> bool:
        """Whether it has a base address of weights, which is that of what is spilled as well."""
        return bool(self.weights or self.spills) or self.load is not None

    @property
    def awaited(self) -> dict[str, Transfer]:
        """What is read for every frame, and there before it begins, by the name of its ports."""
        return _stripes("input", self.inputs) | _stripes("weights", self.weights)

    @property
    def reads(self) -> dict[str, Transfer]:
        """What is read for every frame, by the name of its ports."""
        return self.awaited | _stripes("refill", self.refills)

    @property
    def writes(self) -> dict[str, Transfer]:
        """What is written for every frame, by the name of its ports."""
        return _stripes("output", self.outputs) | _stripes("spill", self.spills)

    @property
    def streams(self) -> dict[str, Transfer]:
        """Every stream, by the name of its ports."""
        return (self.reads | self.writes) | ({"load": self.load} if self.load else {})

    @property
    def bases(self) -> list[str]:
        """The names of the base addresses."""
        numbered = [(kind, k) for kind, transfers in (("input", self.inputs),
                                                      ("output", self.outputs))
                    for k in range(len(transfers))]
        return ([f"{kind}_{k}_{buffer}" for kind, k in numbered for buffer in range(self.buffers)]
                + (["weights"] if self.has_weights else []))

    def resources(self, device: Device) -> Resources:
        """What the component takes."""
        page = self.axi.address_width - _PAGE_BITS
        frames = self.in_flight.bit_length()
        buffer = ceil_log2(self.buffers)
        inputs, outputs, weights = (len(_stripes("", transfers)) for transfers in (
            self.inputs, self.outputs, self.weights))
        choice = page * (5 + self.buffers) // 5 + 9 * frames
        load = 4 if self.load else 0
        others = outputs + len(self.spills) + len(self.refills)
        return Resources(
            lut=84 + (inputs + others) * choice + weights * (page + 4) + 3 * load,
            ff=(6 * 32 + 2 * frames + 7 + load + (inputs + others) * (page + buffer + 1)
                + inputs * (3 * frames + 1) + others * 2 * frames
                + weights * (page + 2 * frames + 2)))

    def create(self) -> "NetworkController":
        return NetworkController(self)


def _stripes(kind: str, transfers: tuple[Transfer, ...]) -> dict[str, Transfer]:
    """Transfers by the names of their ports, each with its further stripes behind it."""
    named = {}
    for k, transfer in enumerate(transfers):
        named[f"{kind}_{k}"] = transfer
        named |= {stripe_name(f"{kind}_{k}", number): other
                  for number, other in enumerate(transfer.others, start=1)}
    return named


def stripe_name(name: str, number: int) -> str:
    """What the ports of a stripe are called; the first is called as if it were alone."""
    return f"{name}_stripe_{number}" if number else name


class NetworkController(wiring.Component):
    """Hardware of :class:`NetworkControl`.

    A start, while it does not run and with all base addresses set (0 is none), loads the weights if
    they have not been loaded since the reset, or are to be loaded anew. Then a frame begins as soon
    as it is released and the commands of the inputs of the one before have been taken; it is done
    with the last response to its writes. Its weights are asked for as it begins, a frame or more
    before its input is used, and never for a frame that does not begin: at the end nothing is left
    over. After a stop, or an error of :data:`FATAL`, no frame begins, and it runs until those that
    have begun are done.

    The gate opens when all that is read for a frame has filled its queue, or has arrived, and stays
    so while a released frame waits before the engine.

    Parameters
    ----------
    spec : :class:`NetworkControl`

    Members
    -------
    start, stop, clear, reload : :py:`In(1)`
        Pulses. A stop counts while it runs, a clear while it does not.
    released : :py:`In(32)`
        Frames that may begin, all in all. Counts of frames wrap around.
    input_0_0... output_0_0... weights : :py:`In(axi.address_width)`
        Base addresses (:attr:`NetworkControl.bases`), multiples of 4 KiB.
    running, loading : :py:`Out(1)`
        It has been started and has not ended; weights are being loaded, which begins with the first
        word of the chain.
    started, done : :py:`Out(32)`
        Frames that have begun, and that are done, since the reset or a clear.
    interval, latency : :py:`Out(32)`
        Cycles between the last two that were done; and, of the last frame that was measured, from
        its first beat into the engine.
    errors : :py:`Out(8)`
        What is found in this cycle: a bit for each of :data:`ERRORS`.
    frame_done, starting, cleared : :py:`Out(1)`
        A frame is done, a start or a clear is taken, in this cycle.
    starving, blocking : :py:`Out(1)`
        The engine waits for the memory in this cycle: for data, or to be rid of them.
    command_NAME : :py:`Out(stream.Signature(axi.command_layout))`
        For each of :attr:`NetworkControl.streams`.
    done_NAME : :py:`In(1)`
        A command is done: all has arrived, or the last response has; of ``load``: all is in place.
    error_NAME : :py:`In(2)`
        The response of AXI, in the cycle of an error.
    ready_NAME : :py:`In(1)`
        For each of :attr:`NetworkControl.awaited`: its queue is full.
    stalled : :py:`In(1)`
        A port's memory owes an answer since too long.
    gate : :py:`Out(1)`
        For the :class:`FrameGate` of each input.
    began_K : :py:`In(1)`
        A frame's first beat of an input enters the engine.
    starved_NAME, blocked_K : :py:`In(1)`
        What is awaited is wanted and not there; what an output has, or after all of them something
        that is to be spilled, is not taken.
    """

    def __init__(self, spec: NetworkControl):
        self._spec = spec
        command = Out(stream.Signature(spec.axi.command_layout))
        super().__init__(
            {name: In(1) for name in ("start", "stop", "clear", "reload", "stalled")}
            | {"released": In(32)}
            | {base: In(spec.axi.address_width) for base in spec.bases}
            | {name: Out(1) for name in ("running", "loading", "frame_done", "starting", "cleared",
                                         "starving", "blocking", "gate")}
            | {name: Out(32) for name in ("started", "done", "interval", "latency")}
            | {"errors": Out(len(ERRORS))}
            | {f"command_{name}": command for name in spec.streams}
            | {f"done_{name}": In(1) for name in spec.streams}
            | {f"error_{name}": In(2) for name in spec.streams}
            | {f"{kind}_{name}": In(1) for name in spec.awaited for kind in ("ready", "starved")}
            | {f"began_{k}": In(1) for k in range(len(spec.inputs))}
            | {f"blocked_{k}": In(1) for k in range(len(spec.outputs) + len(spec.spills))})

    @property
    def spec(self) -> NetworkControl:
        """What it was made of."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        # A frame begins; commands to be made; those made and not done; frames before the engine.
        begin, stopping = Signal(), Signal()
        in_flight = Signal(range(spec.in_flight + 1))
        due = {name: Signal.like(in_flight, name=f"due_{name}")
               for name in (*spec.reads, *spec.writes)}
        open_ = {name: Signal.like(in_flight, name=f"open_{name}") for name in spec.awaited}
        waiting = [Signal.like(in_flight, name=f"waiting_{k}") for k in range(len(spec.inputs))]

        self._run(m, stopping, in_flight)
        self._load(m, stopping)
        self._begin(m, begin, stopping, in_flight, due)
        for name, count in due.items():
            self._command(m, name, begin, count, open_.get(name))
        self._finish(m, begin, in_flight)
        self._open_gate(m, begin, waiting, due, open_)
        self._find_errors(m)
        self._count(m, in_flight, waiting, open_)
        return m

    def _run(self, m, stopping, in_flight):
        """Start, stop, clear."""
        based = Cat(getattr(self, base).any() for base in self._spec.bases).all()
        fatal = Cat(self.errors[list(ERRORS).index(flag)] for flag in FATAL).any()
        m.d.comb += [self.starting.eq(self.start & ~self.running & based),
                     self.cleared.eq(self.clear & ~self.running)]
        with m.If(self.starting):
            m.d.sync += [self.running.eq(1), stopping.eq(0)]
        with m.Elif(self.running):
            with m.If(self.stop | fatal):
                m.d.sync += stopping.eq(1)
            with m.If(stopping & ~self.loading & (in_flight == 0)):
                m.d.sync += self.running.eq(0)
        index = list(ERRORS).index
        m.d.comb += [self.errors[index("no_base")].eq(self.start & ~self.running & ~based),
                     self.errors[index("running")].eq(self.start & self.running)]

    def _load(self, m, stopping):
        """Fill the memories on chip, where that has not been done."""
        transfer = self._spec.load
        if transfer is None:
            return
        loaded, failed = Signal(), Signal()
        command = self.command_load
        m.d.comb += [command.payload.address.eq(self.weights + transfer.offset),
                     command.payload.bursts.eq(transfer.bursts)]
        with m.If(self.reload):
            m.d.sync += loaded.eq(0)
        with m.If(command.ready):
            m.d.sync += command.valid.eq(0)
        with m.If(self.starting & (self.reload | ~loaded)):
            m.d.sync += [self.loading.eq(1), failed.eq(0), command.valid.eq(1)]
        with m.Elif(self.loading):
            with m.If(self.error_load != 0):
                m.d.sync += failed.eq(1)
            with m.If(self.done_load):
                m.d.sync += [self.loading.eq(0), loaded.eq(~failed & (self.error_load == 0))]

    def _begin(self, m, begin, stopping, in_flight, due):
        """Whether a frame begins in this cycle."""
        spec = self._spec
        # What is released but has not begun is negative here: the counts wrap around.
        behind = Signal(32)
        m.d.comb += behind.eq(self.started - self.released)
        released = Signal()
        m.d.sync += released.eq(behind[-1])
        taken = Cat((due[name] == 0) & ~getattr(self, f"command_{name}").valid
                    for name in spec.reads if name.startswith("input")).all()
        # An input's command is due in the cycle after a frame begins: by the time that it has been
        # taken, what was registered here is true again.
        m.d.comb += begin.eq(self.running & ~self.loading & ~stopping & released & taken
                             & (in_flight != spec.in_flight))
        m.d.sync += self.started.eq(Mux(self.cleared, 0, self.started + begin))

    def _command(self, m, name, begin, due, under_way):
        """The commands of one stream: one for each frame that begins, each with its buffer."""
        spec = self._spec
        transfer, command = spec.streams[name], getattr(self, f"command_{name}")
        made = Signal(name=f"made_{name}")
        m.d.comb += [made.eq((due != 0) & ~command.valid & self.running & ~self.loading),
                     command.payload.bursts.eq(transfer.bursts)]
        m.d.sync += due.eq(due + begin - made)
        if under_way is not None:
            m.d.sync += under_way.eq(under_way + made - getattr(self, f"done_{name}"))
        kind = name.partition("_")[0]
        if kind != "weights":
            buffer = Signal(ceil_log2(spec.buffers), name=f"buffer_{name}")
            m.d.sync += buffer.eq(Mux(self.cleared, 0, buffer + made))
        if kind in ("input", "output"):
            stream_name = name.partition("_stripe_")[0]
            base = Value.cast(Array(getattr(self, f"{stream_name}_{k}")
                                    for k in range(spec.buffers))[buffer])
        else:
            base = self.weights
        if transfer.lead:
            m.d.comb += command.payload.address[:_PAGE_BITS].eq(transfer.lead)
        page = base[_PAGE_BITS:] + (transfer.offset >> _PAGE_BITS)
        if kind in ("spill", "refill"):
            pages = transfer.stride >> _PAGE_BITS
            page = page + Value.cast(Array(C(k * pages) for k in range(spec.buffers))[buffer])
        with m.If(made):
            m.d.sync += [command.valid.eq(1), command.payload.address[_PAGE_BITS:].eq(page)]
        with m.Elif(command.ready):
            m.d.sync += command.valid.eq(0)

    def _finish(self, m, begin, in_flight):
        """A frame is done when all its outputs are."""
        ended = []
        for name in self._spec.writes:
            count = Signal.like(in_flight, name=f"ended_{name}")
            m.d.sync += count.eq(count + getattr(self, f"done_{name}") - self.frame_done)
            ended.append(count != 0)
        m.d.comb += self.frame_done.eq(Cat(ended).all())
        m.d.sync += [in_flight.eq(in_flight + begin - self.frame_done),
                     self.done.eq(Mux(self.cleared, 0, self.done + self.frame_done))]

    def _open_gate(self, m, begin, waiting, due, open_):
        """Open when everything has been full once since a frame waits."""
        for k, count in enumerate(waiting):
            m.d.sync += count.eq(count + begin - getattr(self, f"began_{k}"))
        anything = Cat(count != 0 for count in waiting).any()
        filled = Signal(len(open_))
        for bit, name in enumerate(open_):
            arrived = (due[name] == 0) & (open_[name] == 0)
            with m.If(getattr(self, f"ready_{name}") | arrived):
                m.d.sync += filled[bit].eq(1)
        m.d.sync += self.gate.eq(filled.all())
        with m.If(~anything):
            m.d.sync += [filled.eq(0), self.gate.eq(0)]

    def _find_errors(self, m):
        """The responses, by their kind."""
        spec = self._spec
        index = list(ERRORS).index
        sides = {"read": [*spec.reads, *(["load"] if spec.load else [])], "write": spec.writes}
        for side, names in sides.items():
            for kind, response in _RESPONSES.items():
                m.d.comb += self.errors[index(f"{side}_{kind}")].eq(
                    Cat(getattr(self, f"error_{name}") == response for name in names).any())
        m.d.comb += [self.errors[index("stalled")].eq(self.stalled & self.running),
                     self.errors[index("starved")].eq(self.starving)]

    def _count(self, m, in_flight, waiting, open_):
        """Starved and blocked cycles, the interval and the latency."""
        flowing = Signal()  # the gate has been open for a frame that is not done
        m.d.sync += flowing.eq((flowing | self.gate) & (in_flight != 0))
        m.d.comb += [
            self.starving.eq(flowing & Cat(getattr(self, f"starved_{name}") & (count != 0)
                                           for name, count in open_.items()).any()),
            self.blocking.eq(self.running & Cat(
                getattr(self, f"blocked_{k}") for k in
                range(len(self._spec.outputs) + len(self._spec.spills))).any()),
        ]
        since, known = Signal(32, reset_less=True), Signal()
        m.d.sync += since.eq(Mux(self.frame_done, 1, since + 1))
        with m.If(self.starting):
            m.d.sync += known.eq(0)
        with m.Elif(self.frame_done):
            m.d.sync += known.eq(1)
            with m.If(known):
                m.d.sync += self.interval.eq(since)

        timer, measuring = Signal(32, reset_less=True), Signal()
        before = Signal.like(in_flight)
        m.d.sync += timer.eq(timer + 1)
        with m.If(~measuring):
            m.d.sync += timer.eq(1)
            with m.If(self.began_0):
                # Those before it in the engine; its own count of the waiting includes it.
                m.d.sync += [measuring.eq(1),
                             before.eq(in_flight - waiting[0] - self.frame_done)]
        with m.Elif(self.frame_done):
            m.d.sync += before.eq(before - 1)
            with m.If(before == 0):
                m.d.sync += [self.latency.eq(timer), measuring.eq(0)]
        with m.If(self.cleared):
            m.d.sync += [self.interval.eq(0), self.latency.eq(0)]
