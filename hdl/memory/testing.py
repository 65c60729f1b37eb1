"""What tests of memory ports share: a memory with delays of its own, the rules of AXI4, and the
whole check of a port."""

import dataclasses
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
from amaranth import *
from amaranth.sim import Simulator

from .axi import BOUNDARY, Axi
from .port import MemoryPort, PortController


__all__ = ["DECERR", "EXOKAY", "SLVERR", "MemoryModel", "PortRun", "Rules", "run_port"]


Cycle = Mapping[str, int]  # the values of a port's signals in one cycle
EXOKAY, SLVERR, DECERR = 1, 2, 3


class MemoryModel:
    """A memory behind one AXI4 port, in order.

    Parameters
    ----------
    axi : :class:`Axi`
    size : :class:`int`
        Bytes.
    seed : :class:`int` or None
        Delays, gaps and refusals are random ones; without it takes and gives in every cycle.
    latency : :class:`int`
        Cycles from a request to its first word, or from its last word to the response, at least.
    refused : container of :class:`int`
        Addresses of words that are read, and of bursts that are written, with a response of their
        own.
    response : :class:`int`
        Which, SLVERR unless told otherwise; the data are the same.
    """

    def __init__(self, axi: Axi, *, size: int, seed: int | None = None, latency: int = 5,
                 refused: Container[int] = (), response: int = SLVERR):
        self.bytes = np.random.default_rng(9).integers(0, 256, size, dtype=np.uint8)
        self._axi = axi
        self._rng = None if seed is None else np.random.default_rng(seed)
        self._latency = latency
        self._refused, self._response = refused, response
        self._reads: deque = deque()  # address, first cycle, whether it is the last
        self._asked: deque = deque()  # address and words of what will be written
        self._words: deque = deque()
        self._answers: deque = deque()  # response, first cycle
        self._held: dict[str, int] = {}

    def word(self, address: int) -> int:
        """The word at an address."""
        return int.from_bytes(self.bytes[address:address + self._axi.word_bytes].tobytes(),
                              "little")

    def _sometimes(self, share: float) -> bool:
        return self._rng is None or bool(self._rng.random() < share)

    def _delay(self) -> int:
        return self._latency + (0 if self._rng is None else int(self._rng.integers(0, 30)))

    def drive(self, cycle: int) -> dict[str, int]:
        """What it gives in a cycle."""
        values = {f"{channel}ready": int(self._sometimes(0.7)) for channel in ("ar", "aw", "w")}
        values |= {"rvalid": 0, "bvalid": 0}
        if self._reads and (address := self._reads[0])[1] <= cycle and (
                self._held.get("r") or self._sometimes(0.8)):
            self._held["r"] = 1
            values |= {"rvalid": 1, "rdata": self.word(address[0]), "rlast": address[2],
                       "rresp": self._response * (address[0] in self._refused)}
        if self._answers and self._answers[0][1] <= cycle and (
                self._held.get("b") or self._sometimes(0.6)):
            self._held["b"] = 1
            values |= {"bvalid": 1, "bresp": self._answers[0][0]}
        return values

    def see(self, cycle: int, seen: Cycle) -> None:
        """What the port gave in that cycle."""
        size = self._axi.word_bytes
        if seen["arvalid"] and seen["arready"]:
            start = cycle + self._delay()
            words = seen["arlen"] + 1
            self._reads += [(seen["araddr"] + size * k, start, int(k == words - 1))
                            for k in range(words)]
        if seen["rvalid"] and seen["rready"]:
            self._reads.popleft()
            self._held["r"] = 0
        if seen["bvalid"] and seen["bready"]:
            self._answers.popleft()
            self._held["b"] = 0
        if seen["awvalid"] and seen["awready"]:
            self._asked.append((seen["awaddr"], seen["awlen"] + 1))
        if seen["wvalid"] and seen["wready"]:
            self._words.append(seen["wdata"])
        if self._asked and len(self._words) >= self._asked[0][1]:
            address, words = self._asked.popleft()
            data = b"".join(self._words.popleft().to_bytes(size, "little") for _ in range(words))
            self.bytes[address:address + len(data)] = np.frombuffer(data, np.uint8)
            self._answers.append((self._response * (address in self._refused),
                                  cycle + self._delay()))


class Rules:
    """What AXI4 asks of a master, and a port's spec of its controller, cycle by cycle.

    Raises
    ------
    AssertionError
        If the port breaks one of them.
    """

    def __init__(self, spec: MemoryPort):
        self._spec = spec
        self._held: dict[str, tuple[int, ...] | None] = {}
        self._asked: deque[int] = deque()  # words of bursts that were asked for, and that came
        self._came: deque[int] = deque()
        self._words = 0
        self._unanswered: deque[int] = deque()
        self._under_way = 0
        self.most_under_way = 0

    def see(self, cycle: int, seen: Cycle) -> None:
        """Check one cycle."""
        for channel, fields in (("ar", ("addr", "len")), ("aw", ("addr", "len")),
                                ("w", ("data", "strb", "last"))):
            payload = tuple(seen[channel + field] for field in fields)
            if (held := self._held.get(channel)) is not None:
                offered = payload if seen[f"{channel}valid"] else None
                assert offered == held, f"{channel} is not held in cycle {cycle}"
            waits = seen[f"{channel}valid"] and not seen[f"{channel}ready"]
            self._held[channel] = payload if waits else None
        for channel in ("r", "b"):
            assert seen[f"{channel}ready"] >= seen[f"{channel}valid"], \
                f"{channel} has to wait in cycle {cycle}"
        for channel in ("ar", "aw"):
            if seen[f"{channel}valid"] and seen[f"{channel}ready"]:
                self._request(channel, seen)
        self._data(seen)
        self._under_way -= seen["rvalid"] and seen["rready"]
        if seen["bvalid"] and seen["bready"]:
            self._under_way -= self._unanswered.popleft()
        self.most_under_way = max(self.most_under_way, self._under_way)
        assert self._under_way <= self._spec.outstanding

    def _request(self, channel, seen):
        axi = self._spec.axi
        address, words = seen[f"{channel}addr"], seen[f"{channel}len"] + 1
        assert words in {each.burst for each in self._spec.streams}
        assert address % axi.word_bytes == 0
        assert address // BOUNDARY == (address + words * axi.word_bytes - 1) // BOUNDARY
        assert 1 << seen[f"{channel}size"] == axi.word_bytes
        assert seen[f"{channel}burst"] == 1
        assert (seen[f"{channel}cache"], seen[f"{channel}prot"]) == (3, 0)
        self._under_way += words
        if channel == "aw":
            self._asked.append(words)
            self._unanswered.append(words)

    def _data(self, seen):
        """Words may come before their request, whose length is known only then."""
        if seen["wvalid"] and seen["wready"]:
            assert seen["wstrb"] == (1 << self._spec.axi.word_bytes) - 1
            self._words += 1
            if seen["wlast"]:
                self._came.append(self._words)
                self._words = 0
        while self._asked and self._came:
            assert self._asked.popleft() == self._came.popleft()

    def end(self) -> None:
        """Check that nothing is left."""
        left = [*self._asked, *self._came, self._words, *self._unanswered, self._under_way]
        assert not any(left), f"{left} words are left"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PortRun:
    """What a simulation of a port saw, by stream.

    Parameters
    ----------
    words, given : words that were read, and the cycles of their transfers
    taken : cycles in which words to be written were
    served, done : cycles
    errors : cycle and response of each
    full : cycles in which a queue was
    seen : values of the port's signals, by cycle
    """

    words: list[list[int]]
    given: list[list[int]]
    taken: list[list[int]]
    served: list[list[int]]
    done: list[list[int]]
    errors: list[list[tuple[int, int]]]
    full: list[list[int]]
    seen: list[Cycle]

    def transfers(self, channel: str) -> list[int]:
        """Cycles in which a channel of the port transferred."""
        return [cycle for cycle, values in enumerate(self.seen)
                if values[f"{channel}valid"] and values[f"{channel}ready"]]


def run_port(spec: MemoryPort, memory: MemoryModel, commands: Sequence[Sequence[tuple[int, int]]],
             words: Mapping[int, Sequence[int]], *,
             offers: Callable[[int, int], bool] = lambda number, cycle: True,
             takes: Callable[[int, int], bool] = lambda number, cycle: True,
             limit: int = 10000) -> PortRun:
    """Simulate a port until all commands are done, and for a while longer.

    Parameters
    ----------
    spec : :class:`MemoryPort`
    memory : :class:`MemoryModel`
    commands : address and bursts of each command, for each stream
    words : for each stream that is written, by its number
    offers, takes : functions of a stream's number and the cycle
        Whether a word to be written, and a command, is offered; whether a word that was read is
        taken. What is offered stays.
    limit : :class:`int`
        Cycles after which it fails.

    Raises
    ------
    AssertionError
        If a rule of AXI4 or of streams is broken, a word is missing or one too many, or a command
        is not done exactly once.
    """
    bench = _Bench(spec, memory, commands, words, offers, takes)

    async def run(ctx):
        after = 60
        for cycle in range(limit):
            after -= bench.complete
            if not after:
                return
            await bench.cycle(ctx, cycle)

    simulator = Simulator(bench.port)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    bench.end()
    return bench.run


class _Bench:
    """Both sides of a port, a cycle at a time."""

    def __init__(self, spec, memory, commands, words, offers, takes):
        self.port = PortController(spec)
        self._spec, self._memory, self._offers, self._takes = spec, memory, offers, takes
        self._rules = Rules(spec)
        self._commands = [deque(each) for each in commands]
        self._words = {number: deque(each) for number, each in words.items()}
        self._wanted = [sum(bursts for _, bursts in each) * stream.burst
                        for each, stream in zip(commands, spec.streams, strict=True)]
        self._done = [len(each) for each in commands]
        self._held = {}
        self._signals = self._watched()
        self.run = PortRun(seen=[], **{
            field.name: [[] for _ in spec.streams] for field in dataclasses.fields(PortRun)
            if field.name != "seen"})

    def _watched(self):
        port = self.port
        signals = {name: getattr(port.axi, name) for name in self._spec.axi.signature.members}
        for number, each in enumerate(self._spec.streams):
            for kind in ("served", "done", "error", *(["ready"] if each.is_read else [])):
                signals[f"{kind}_{number}"] = getattr(port, f"{kind}_{number}")
            for name in (f"command_{number}", f"{'o' if each.is_read else 'i'}_{number}"):
                member = getattr(port, name)
                signals |= {f"{name}_valid": member.valid, f"{name}_ready": member.ready,
                            f"{name}_payload": Value.cast(member.payload)}
        return signals

    @property
    def complete(self):
        return [len(done) for done in self.run.done] == self._done and all(
            len(given) == wanted for given, wanted, each in zip(
                self.run.given, self._wanted, self._spec.streams, strict=True) if each.is_read)

    async def cycle(self, ctx, cycle):
        port = self.port
        for name, value in self._memory.drive(cycle).items():
            ctx.set(getattr(port.axi, name), value)
        for number, each in enumerate(self._spec.streams):
            if self._commands[number]:
                address, bursts = self._commands[number][0]
                self._offer(ctx, f"command_{number}", {"address": address, "bursts": bursts},
                            self._offers(number, cycle))
            else:
                ctx.set(getattr(port, f"command_{number}").valid, 0)
            if each.is_read:
                ctx.set(getattr(port, f"o_{number}").ready, self._takes(number, cycle))
            elif self._words[number]:
                self._offer(ctx, f"i_{number}", self._words[number][0],
                            self._offers(number, cycle))
            else:
                ctx.set(getattr(port, f"i_{number}").valid, 0)
        _, _, *values = await ctx.tick().sample(*self._signals.values())
        self._see(cycle, dict(zip(self._signals, values, strict=True)))

    def _offer(self, ctx, name, payload, now):
        member = getattr(self.port, name)
        ctx.set(member.valid, now or self._held.get(name, False))
        ctx.set(member.payload, payload)

    def _see(self, cycle, seen):
        run = self.run
        run.seen.append(seen)
        self._rules.see(cycle, seen)
        self._memory.see(cycle, seen)
        for number, each in enumerate(self._spec.streams):
            if self._passes(f"command_{number}", seen):
                self._commands[number].popleft()
            if each.is_read:
                self._read(number, cycle, seen)
            elif self._passes(f"i_{number}", seen):
                self._words[number].popleft()
                run.taken[number].append(cycle)
            for kind, cycles in (("served", run.served), ("done", run.done)):
                if seen[f"{kind}_{number}"]:
                    cycles[number].append(cycle)
            if seen[f"error_{number}"]:
                run.errors[number].append((cycle, seen[f"error_{number}"]))

    def _passes(self, name, seen):
        valid, ready = seen[f"{name}_valid"], seen[f"{name}_ready"]
        self._held[name] = valid and not ready
        return valid and ready

    def _read(self, number, cycle, seen):
        name = f"o_{number}"
        word = seen[f"{name}_payload"]
        if self._held.get(name):
            offered = word if seen[f"{name}_valid"] else None
            assert offered == self._held["word", number], \
                f"{name} withdrew a word in cycle {cycle}"
        if self._passes(name, seen):
            self.run.words[number].append(word)
            self.run.given[number].append(cycle)
        self._held["word", number] = word
        if seen[f"ready_{number}"]:
            self.run.full[number].append(cycle)

    def end(self):
        run = self.run
        assert [len(done) for done in run.done] == self._done, "Commands are not done"
        for number, each in enumerate(self._spec.streams):
            count = len((run.given if each.is_read else run.taken)[number])
            assert count == self._wanted[number], f"{each.name}: {count} words"
            assert len(run.served[number]) * each.burst == self._wanted[number]
        self._rules.end()
