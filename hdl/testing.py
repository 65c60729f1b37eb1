"""What tests of components share: drivers, the stream contract, one operator's equations solved,
and the whole check of an operator against its spec."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from amaranth import *
from amaranth.sim import Simulator

from .operator import Operator, Timing
from .operators.matvec import join_fields


__all__ = ["OFFERINGS", "TAKINGS", "Run", "check_operator", "offered_cycles", "ready_cycles",
           "simulate", "split_words", "stream_ports", "transfers"]


OFFERINGS = ("always", "every other", "random")
TAKINGS = ("always", "blocked", "random")


def offered_cycles(kind: str, count: int, seed: int = 0) -> list[int]:
    """For each of so many beats, the cycle before which a source does not offer it."""
    rng = np.random.default_rng([1, seed])
    gaps = {"always": np.ones(count, dtype=int), "every other": np.full(count, 2),
            "random": rng.choice([1, 1, 1, 2, 5], count)}[kind]
    return (np.cumsum(gaps) - gaps[:1]).tolist()


def ready_cycles(kind: str, seed: int = 0) -> Callable[[int], bool]:
    """Whether a sink is ready, by cycle."""
    pattern = np.random.default_rng([2, seed]).random(4096) < 0.6
    return {"always": lambda cycle: True,
            "blocked": lambda cycle: cycle > 90 + 7 * seed,
            "random": lambda cycle: bool(pattern[cycle % 4096])}[kind]


def split_words(words: Sequence[int], shape: Shape, elements: int) -> np.ndarray:
    """Words as values, shape (words, elements): the inverse of :func:`join_fields`."""
    fields = [[word >> shape.width * k & (1 << shape.width) - 1 for k in range(elements)]
              for word in words]
    values = np.array(fields, dtype=np.int64).reshape(len(fields), elements)
    return values - (values >> shape.width - 1 << shape.width) if shape.signed else values


def stream_ports(component, prefix: str) -> list:
    """The streams :py:`i`, or :py:`i_0`, :py:`i_1`..., likewise for :py:`"o"`."""
    if hasattr(component, prefix):
        return [getattr(component, prefix)]
    ports: list = []
    while hasattr(component, f"{prefix}_{len(ports)}"):
        ports.append(getattr(component, f"{prefix}_{len(ports)}"))
    return ports


def transfers(timing: Timing, frames: int, offered: Sequence[Sequence[int]],
              ready: Sequence[Callable[[int], bool]]) -> tuple[list[list[int]], list[list[int]]]:
    """Cycles in which one operator takes and gives its beats.

    Parameters
    ----------
    timing : :class:`Timing`
    frames : :class:`int`
        Frames, back to back.
    offered : cycles, for each input
        Before which its beats are not offered.
    ready : functions of a cycle, for each output
        Whether its sink takes a beat then.

    Returns
    -------
    Cycles of the beats of each input, and of each output.

    Raises
    ------
    ValueError
        If an issue waits for a beat for which only it, or a later one, makes room.
    """
    solver = _Solver(timing, frames, offered, ready)
    for issue in range(frames * len(timing.cycles)):
        solver.issue(issue)
    return solver.taken, solver.given


class _Solver:
    """Issue by issue, as each depends on earlier ones alone."""

    def __init__(self, timing, frames, offered, ready):
        self._timing = timing
        self._offered = offered
        self._ready = ready
        self._issues = []
        self._needs = [self._unroll(use.needs, use.beats, frames) for use in timing.inputs]
        self._frees = [self._unroll(use.frees, use.beats, frames) for use in timing.inputs]
        self._makes = [self._unroll(use.makes, int(use.makes[-1]), frames)
                       for use in timing.outputs]
        self.taken = [[] for _ in timing.inputs]
        self.given = [[] for _ in timing.outputs]

    @staticmethod
    def _unroll(counts, beats, frames):
        return (np.asarray(counts) + beats * np.arange(frames)[:, None]).ravel()

    def issue(self, k):
        timing = self._timing
        start = 0
        if k:
            start = self._issues[-1] + int(timing.cycles[(k - 1) % len(timing.cycles)])
        for number, use in enumerate(timing.inputs):
            needed = int(self._needs[number][k])
            if use.places:
                self._fill(number, needed)
                start = max(start, self.taken[number][needed - 1] + use.entry if needed else 0)
            elif needed > len(self.taken[number]):
                start = max(start, self._offer(number))
        for number, use in enumerate(timing.outputs):
            made = int(self._makes[number][k])
            if made > len(self.given[number]) and made > use.places:
                start = max(start, self.given[number][made - 1 - use.places] + use.back)
        self._issues.append(start)
        for number, use in enumerate(timing.inputs):
            if not use.places and self._needs[number][k] > len(self.taken[number]):
                self.taken[number].append(start)
            elif use.places and k == len(self._needs[number]) - 1:
                self._fill(number, use.beats * (k + 1) // len(timing.cycles))
        for number, use in enumerate(timing.outputs):
            self._give(number, int(self._makes[number][k]), start + use.depth)

    def _offer(self, number):
        taken, gap = self.taken[number], self._timing.inputs[number].gap
        return max(self._offered[number][len(taken)], taken[-1] + gap if taken else 0)

    def _fill(self, number, needed):
        """Take the beats of a buffered input, up to this many."""
        use, taken = self._timing.inputs[number], self.taken[number]
        while len(taken) < needed:
            cycle = self._offer(number)
            if len(taken) >= use.places:
                freeing = int(np.searchsorted(self._frees[number], len(taken) - use.places + 1))
                if freeing >= len(self._issues):
                    raise ValueError(f"Beat {len(taken)!r} of input {number!r} finds no room")
                cycle = max(cycle, self._issues[freeing] + use.release)
            taken.append(cycle)

    def _give(self, number, made, cycle):
        given = self.given[number]
        while len(given) < made:
            cycle = max(cycle, given[-1] + 1 if given else 0)
            while not self._ready[number](cycle):
                cycle += 1
            given.append(cycle)
            cycle += 1


@dataclasses.dataclass(kw_only=True)
class Run:
    """What a simulation saw at each input and output: cycles of the transfers, words given."""

    taken: list[list[int]]
    given: list[list[int]]
    words: list[list[int]]


def simulate(component, words: Sequence[Sequence[int]], counts: Sequence[int],
             offered: Sequence[Sequence[int]], ready: Sequence[Callable[[int], bool]],
             limit: int) -> Run:
    """Drive a component's streams.

    Parameters
    ----------
    component : :class:`wiring.Component`
    words : payloads, for each input
    counts : beats expected, for each output
        It goes on for a while after all have come, and more than these fail it.
    offered, ready
        As in :func:`transfers`.
    limit : :class:`int`
        Cycles after which it fails.

    Raises
    ------
    AssertionError
        If an output withdraws or changes what it offered, follows its ready within the cycle, or
        gives too few or too many beats.
    """
    inputs, outputs = stream_ports(component, "i"), stream_ports(component, "o")
    run = Run(taken=[[] for _ in inputs], given=[[] for _ in outputs],
              words=[[] for _ in outputs])

    async def bench(ctx):
        held = [None] * len(outputs)
        cycle, after = 0, 40
        while after and cycle < limit:
            after -= all(len(done) >= count for done, count in
                         zip(run.taken + run.given, [*map(len, words), *counts], strict=True))
            for port, queue, starts, taken in zip(inputs, words, offered, run.taken,
                                                  strict=True):
                beat = len(taken)
                offers = beat < len(queue) and cycle >= starts[beat]
                ctx.set(port.valid, offers)
                if offers:
                    ctx.set(Value.cast(port.payload), queue[beat])
            _set_ready(ctx, inputs, outputs, [takes(cycle) for takes in ready])
            signals = [signal for port in inputs for signal in (port.valid, port.ready)]
            signals += [signal for port in outputs
                        for signal in (port.valid, port.ready, Value.cast(port.payload))]
            _, _, *values = await ctx.tick().sample(*signals)
            for number in range(len(inputs)):
                if all(values[2 * number:2 * number + 2]):
                    run.taken[number].append(cycle)
            for number in range(len(outputs)):
                first = 2 * len(inputs) + 3 * number
                valid, accepts, word = values[first:first + 3]
                assert held[number] is None or (valid and word == held[number]), \
                    f"Output {number} withdrew a payload in cycle {cycle}"
                held[number] = word if valid and not accepts else None
                if valid and accepts:
                    run.given[number].append(cycle)
                    run.words[number].append(word)
            cycle += 1

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    came = [len(given) for given in run.given]
    assert came == list(counts), f"{came!r} beats of {counts!r}"
    return run


def _set_ready(ctx, inputs, outputs, values):
    """Set the sinks' ready, and see that nothing else depends on it within the cycle."""
    watched = [port.ready for port in inputs] + [port.valid for port in outputs]
    before = [ctx.get(signal) for signal in watched]
    for port, value in zip(outputs, values, strict=True):
        ctx.set(port.ready, value)
    assert [ctx.get(signal) for signal in watched] == before, \
        "A ready leads to a ready or valid within a cycle"


def check_operator(spec: Operator, frames: Sequence[np.ndarray], *, offering: str = "always",
                   taking: str = "always") -> Run:
    """Simulate an operator's component, and compare every value and every cycle with its spec.

    Parameters
    ----------
    spec : :class:`Operator`
    frames : arrays, shape (frames, rows, columns, channels), for each input
    offering, taking : of :data:`OFFERINGS` and :data:`TAKINGS`

    Raises
    ------
    AssertionError
        If anything differs.
    """
    number = len(frames[0])
    words = [join_fields(shape.pack(x), shape.map.width)
             for shape, x in zip(spec.inputs, frames, strict=True)]
    offered = [offered_cycles(offering, len(queue), seed) for seed, queue in enumerate(words)]
    ready = [ready_cycles(taking, seed) for seed in range(len(spec.outputs))]
    taken, given = transfers(spec.timing(), number, offered, ready)
    limit = max(cycles[-1] for cycles in taken + given) + 200
    run = simulate(spec.create(), words, [number * shape.beats for shape in spec.outputs],
                   offered, ready, limit)
    results = spec.compute(*frames)
    for k, (shape, expected) in enumerate(zip(spec.outputs, results, strict=True)):
        values = split_words(run.words[k], shape.map.element, shape.elements)
        assert (values == shape.pack(expected)).all(), f"Output {k} differs from the golden model"
    for kind, simulated, predicted in (("taken", run.taken, taken), ("given", run.given, given)):
        for k, (cycles, foreseen) in enumerate(zip(simulated, predicted, strict=True)):
            assert cycles == foreseen, f"Beats of stream {k} are not {kind} when predicted"
    if offering == taking == "always":
        assert given[0][-1] - given[0][-1 - spec.outputs[0].beats] == spec.interval
    return run
