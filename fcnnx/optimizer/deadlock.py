"""Freedom from deadlock, by counts of beats alone: stalls change timing, not that."""

import functools

import numpy as np

from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Operator, Timing


__all__ = ["Deadlock", "check_deadlock", "operator_timing"]


class Deadlock(Exception):
    """An engine whose beats can never all cross.

    Parameters
    ----------
    stages : tuple of :class:`str`
        Stages that cannot finish.
    """

    def __init__(self, stages: tuple[str, ...]):
        self.stages = stages
        super().__init__(f"Stages {', '.join(stages)} wait for each other for ever")


@functools.lru_cache(maxsize=32)
def operator_timing(operator: Operator) -> Timing:
    """The operator's timing; kept, as the same operators are timed many times."""
    return operator.timing()


def check_deadlock(engine: Engine) -> None:
    """Count tokens alone: let every stage do all it can until nothing moves.

    Two frames, as queues that carry beats across a frame's border may hold the next one up.

    Raises
    ------
    Deadlock
        If a stage cannot finish.
    """
    counts = _Tokens(engine, frames=2)
    while counts.step():
        pass
    stuck = counts.unfinished()
    if stuck:
        raise Deadlock(stuck)


class _Tokens:
    """How many issues and transfers there have been, without time."""

    def __init__(self, engine: Engine, frames: int):
        self.stages = [(stage, operator_timing(stage.operator)) for stage in engine.stages]
        self.frames = frames
        self.issues = dict.fromkeys((stage.name for stage, _ in self.stages), 0)
        self.made = {Source(name): frames * shape.beats for name, shape in engine.inputs}
        self.taken: dict[Source, int] = dict.fromkeys(
            (source for stage in engine.stages for source in stage.inputs), 0)
        self.sinks = [source for _, source in engine.outputs]

    def step(self) -> bool:
        moved = False
        for stage, timing in self.stages:
            moved |= self._advance(stage, timing)
        for stage, timing in reversed(self.stages):
            moved |= self._advance(stage, timing)
        return moved

    def _advance(self, stage: Stage, timing: Timing) -> bool:
        count = len(timing.cycles)
        done, moved = self.issues[stage.name], False
        possible = self.frames * count
        for source, entry in zip(stage.inputs, timing.inputs, strict=True):
            made = self.made.get(source, 0)
            if entry.places:
                freed = _at(entry.frees, done - 1, count, entry.beats)
                taken = max(self.taken[source], min(made, freed + entry.places))
                moved |= taken > self.taken[source]
                self.taken[source] = taken
            arrived = self.taken[source] if entry.places else made
            possible = min(possible, _most(entry.needs, arrived, count, entry.beats))
        for k, output in enumerate(timing.outputs):
            source = Source(stage.name, k)
            beats = int(output.makes[-1])
            gone = self.made.get(source, 0) if source in self.sinks else self.taken[source]
            possible = min(possible, _most(output.makes, gone + output.places, count, beats))
        possible = max(possible, done)
        self.issues[stage.name] = possible
        for source, entry in zip(stage.inputs, timing.inputs, strict=True):
            if not entry.places:
                self.taken[source] = _at(entry.needs, possible - 1, count, entry.beats)
        for k, output in enumerate(timing.outputs):
            self.made[Source(stage.name, k)] = _at(output.makes, possible - 1, count,
                                                   int(output.makes[-1]))
        return moved or possible > done

    def unfinished(self) -> tuple[str, ...]:
        return tuple(stage.name for stage, timing in self.stages
                     if self.issues[stage.name] < self.frames * len(timing.cycles))


def _at(values: np.ndarray, issue: int, count: int, beats: int) -> int:
    """The cumulative value after an issue, counted over frames."""
    if issue < 0:
        return 0
    return issue // count * beats + int(values[issue % count])


def _most(values: np.ndarray, limit: int, count: int, beats: int) -> int:
    """Issues, over frames, whose cumulative value stays within the limit."""
    frame, rest = divmod(limit, beats)
    return frame * count + int(np.searchsorted(values, rest, side="right"))
