"""Operators that are nothing but their timing, and a simulator of it cycle by cycle."""

import dataclasses

import numpy as np

from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import FeatureMap, Input, Output, StreamShape, Timing


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandIn:
    """An operator of which only the streams and the timing are known."""

    beats_in: tuple[int, ...]
    beats_out: tuple[int, ...]
    times: Timing

    @property
    def inputs(self):
        return tuple(vector(beats) for beats in self.beats_in)

    @property
    def outputs(self):
        return tuple(vector(beats) for beats in self.beats_out)

    def timing(self):
        return self.times


def vector(beats):
    return StreamShape(map=FeatureMap(rows=1, columns=beats, channels=1))


def stand_in(inputs, outputs, cycles):
    return StandIn(beats_in=tuple(each.beats for each in inputs),
                   beats_out=tuple(int(each.makes[-1]) for each in outputs),
                   times=Timing(inputs=tuple(inputs), outputs=tuple(outputs),
                                cycles=np.asarray(cycles)))


def pointwise(beats, *, arity=1, depth=3, cycles=1, places=None):
    """An issue takes a beat of each input and makes one."""
    one = np.arange(1, beats + 1)
    return stand_in([Input(beats=beats, needs=one, frees=one)] * arity,
                    [Output(makes=one, depth=depth, places=places or depth + 2, back=2)],
                    np.full(beats, cycles))


def fork(beats, *places):
    one = np.arange(1, beats + 1)
    return stand_in([Input(beats=beats, needs=one, frees=one)],
                    [Output(makes=one, depth=1, places=each, back=2) for each in places],
                    np.ones_like(one))


def sliding(rows, columns, *, kernel=3, stride=1, held=None, steps=2, depth=5, passes=1, makes=1):
    """A window over a padded map; each pass makes so many beats."""
    pad = kernel // 2
    high, wide = (rows - 1) // stride + 1, (columns - 1) // stride + 1
    last_row, last_column = (
        np.clip(np.arange(count) * stride - pad + kernel - 1, 0, size - 1)
        for count, size in ((high, rows), (wide, columns)))
    needs = (last_row[:, None] * columns + last_column + 1).ravel()
    top = np.clip(np.arange(high + 1) * stride - pad, 0, rows) * columns
    passed = np.clip((np.arange(wide) + 1) * stride - pad, 0, columns)
    frees = np.minimum(top[:-1, None] + passed, top[1:, None])
    frees[-1] = top[-2] + passed
    frees[:-1, -1] = top[1:-1]
    frees[-1, -1] = rows * columns
    frees = frees.ravel()
    every = np.concatenate([[0], frees[:-1]]).repeat(passes)
    every[passes - 1::passes] = frees
    issues = high * wide * passes
    held = held or kernel + (stride > 1)
    return stand_in([Input(beats=rows * columns, needs=needs.repeat(passes), frees=every,
                           places=held * columns, entry=1, release=steps + 2)],
                    [Output(makes=np.arange(1, issues + 1) * makes, depth=depth,
                            places=makes * ((depth + makes) // steps + 2), back=2)],
                    np.full(issues, steps))


def chain(*operators, name="chain"):
    stages, source = [], Source("x")
    for k, operator in enumerate(operators):
        stages.append(Stage(name=f"s{k}", operator=operator, inputs=(source,)))
        source = Source(f"s{k}")
    return Engine(name=name, inputs=(("x", operators[0].inputs[0]),), stages=tuple(stages),
                  outputs=(("y", source),))


def residual(beats_rows, columns, *, short, long, stride_steps=2):
    """A fork, a window on one branch, and an add."""
    beats = beats_rows * columns
    return Engine(name="residual", inputs=(("x", vector(beats)),), stages=(
        Stage(name="fork", operator=fork(beats, long, short), inputs=(Source("x"),)),
        Stage(name="conv", operator=sliding(beats_rows, columns, steps=stride_steps),
              inputs=(Source("fork"),)),
        Stage(name="add", operator=pointwise(beats, arity=2),
              inputs=(Source("conv"), Source("fork", 1)))), outputs=(("y", Source("add")),))


def step_by_step(engine, frames, offers=None, ready=None, limit=200_000):
    """Every transfer, by a simulation of counters cycle by cycle; None where it never ends."""
    total = {}
    shapes = {Source(name): shape for name, shape in engine.inputs}
    for stage in engine.stages:
        shapes |= {Source(stage.name, k): s for k, s in enumerate(stage.operator.outputs)}
    crossed = {source: [] for source in shapes}
    queued = {source: [] for source in shapes}  # cycles from which beats are offered, in order
    issued = {stage.name: [] for stage in engine.stages}
    for name, shape in engine.inputs:
        beats = frames * shape.beats
        queued[Source(name)] = list((offers or {}).get(name, np.zeros(beats, int)))
    for source, shape in shapes.items():
        total[source] = frames * shape.beats
    sinks = {source: (None if ready is None else ready.get(name))
             for name, source in engine.outputs}
    consumer = {source: (stage, k) for stage in engine.stages
                for k, source in enumerate(stage.inputs)}

    def at(values, issue, beats):
        count = len(values)
        return 0 if issue < 0 else issue // count * beats + int(values[issue % count])

    def offered(source, cycle):
        n = len(crossed[source])
        return n < len(queued[source]) and queued[source][n] <= cycle

    for cycle in range(limit):
        if all(len(crossed[source]) == total[source] for source in shapes):
            return {source: np.array(times) for source, times in crossed.items()}
        takes = []
        for stage in engine.stages:
            timing, done = stage.operator.timing(), issued[stage.name]
            k, count = len(done), len(timing.cycles)
            if k == frames * count:
                continue
            good = not done or cycle >= done[-1] + timing.cycles[(k - 1) % count]
            unbuffered = []
            for source, entry in zip(stage.inputs, timing.inputs, strict=True):
                needs = at(entry.needs, k, entry.beats)
                if entry.places:
                    times = crossed[source]
                    good &= needs == 0 or (len(times) >= needs
                                           and times[needs - 1] + entry.entry <= cycle)
                elif len(crossed[source]) < needs:
                    good &= offered(source, cycle)
                    unbuffered.append(source)
            for j, output in enumerate(timing.outputs):
                beats, times = int(output.makes[-1]), crossed[Source(stage.name, j)]
                makes, before = at(output.makes, k, beats), at(output.makes, k - 1, beats)
                gone = makes - output.places
                if makes > before and gone > 0:
                    good &= len(times) >= gone and times[gone - 1] + output.back <= cycle
            if good:
                takes.append((stage, k, unbuffered))
        moves = []
        for source in shapes:
            if not offered(source, cycle):
                continue
            if source in sinks:
                cycles = sinks[source]
                if cycles is None or cycle in cycles or cycle > cycles[-1]:
                    moves.append(source)
                continue
            stage, i = consumer[source]
            entry = stage.operator.timing().inputs[i]
            if entry.places:
                count = len(entry.frees)
                done = sum(1 for t in issued[stage.name] if t + entry.release <= cycle)
                freed = at(entry.frees, done - 1, entry.beats)
                if len(crossed[source]) < freed + entry.places:
                    moves.append(source)
        for stage, k, unbuffered in takes:
            issued[stage.name].append(cycle)
            moves += unbuffered
            for j, output in enumerate(stage.operator.timing().outputs):
                beats = int(output.makes[-1])
                made = at(output.makes, k, beats) - at(output.makes, k - 1, beats)
                queued[Source(stage.name, j)] += [cycle + output.depth + b for b in range(made)]
        for source in moves:
            crossed[source].append(cycle)
    return None
