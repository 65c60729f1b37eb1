"""Which point of its front each network takes, and why none will do where none does."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

from fcnnx.errors import BadInput, Problem, TargetMissed
from fcnnx.hdl.device import Resources

from .bounds import FLOOR, PARTS_OF_FLOOR, SURPLUS, Infeasible, Traffic, least_pace
from .candidates import Room
from .choice import Chooser, Selection
from .concurrency import at_once
from .fifos import ample
from .latency import lower_latency
from .memory import USABLE
from .pareto import ANY, fastest, front, paced, prices_of, smallest, undominated
from .partition import Option, combine, weighted
from .running import Running
from .targets import Target
from .timing import is_large
from .trading import LEAST_WORDS, NOTHING, Trader, Worth


__all__ = ["POLICIES", "Decider", "Decision", "TooLittle"]


POLICIES = ("joint", "unaware")  # of networks that share a memory
TIGHTENINGS = 24  # of intervals, until latencies that were wanted are reached
LATENCY_STEP = 0.93
FLOOR_SLACK = 1e-3  # as intervals are whole cycles


class TooLittle(BadInput):
    """Not even the smallest foldings fit.

    Parameters
    ----------
    problems : :class:`Problem`
    blocks : :class:`int`
        Block RAMs of 18 kbit that are lacking; none where it is negative.
    """

    def __init__(self, *problems: Problem, blocks: int):
        self.blocks = blocks
        super().__init__(*problems)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """Foldings of all networks.

    Parameters
    ----------
    selections : tuple of :class:`Selection`
    alone : tuple of :class:`int`
        Interval of each network where all of the budget is its own.
    gap : :class:`float`
    warnings : tuple of :class:`str`
    """

    selections: tuple[Selection, ...]
    alone: tuple[int, ...]
    gap: float
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Measured:
    """Interval and latency by the recurrence, queues at joins ample."""

    interval: int
    latency: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Combined:
    """Points of the networks' fronts that fit together, the part of every floor that they keep, and
    by how much others may be better."""

    selections: Sequence[Selection]
    part: float
    gap: float


class Decider:
    """Decides for some networks on one device.

    Parameters
    ----------
    choosers : one for each network
    targets : likewise
    objective : one of :data:`partition.OBJECTIVES`
    clock_mhz : :class:`float`
    progress : callable
    policy : one of :data:`POLICIES`
        ``"joint"``, or ``"unaware"``: each as if the memory, which the choosers know, were its own.
    """

    def __init__(self, choosers: Sequence[Chooser], targets: Sequence[Target], *, objective: str,
                 clock_mhz: float, progress: Callable[[str], None], policy: str = "joint"):
        self._choosers, self._targets = choosers, targets
        self._objective, self._clock, self._progress = objective, clock_mhz, progress
        self._weights = [target.weight or 1.0 for target in targets]
        self._measurements: dict[tuple[int, bytes, int], _Measured] = {}
        self._runs: dict[int, tuple[tuple, Running]] = {}
        # Of the networks alone, with what the first decision had: by it progress is measured, and
        # it is the same however little is left later.
        self._times: tuple[int, ...] = ()
        # Of each network, from one decision to the next.
        self._known: list[list[Selection]] = [[] for _ in choosers]
        self._part = PARTS_OF_FLOOR[1]  # of the floors, that what is tried may fall to
        self._beside = Resources(), Resources()  # what is allowed, and what is set aside of it
        self._memory = choosers[0].memory
        self._shared = policy == "joint"
        # As schedules count: with a surplus.
        self._words = (None if self._memory is None
                       else self._memory.derated * USABLE / (1 + SURPLUS))

    def decide(self, budget: Resources, aside: Resources, *, hasty: bool = False) -> Decision:
        """Foldings within what the budget leaves where queues at joins, and what lies between
        engines and memory, have been set aside as far as they are known; and within what the
        memory gives, if there is one. In haste, the latency of a large network is left as it is.

        Raises
        ------
        TooLittle
            If not even the smallest foldings fit.
        TargetMissed
            If a target cannot be met.
        """
        room, budget = Room.of(budget.less(aside), self._words), Room.of(budget, self._words)
        self._check_smallest(room, budget, aside)
        single = len(self._choosers) == 1
        numbers = range(len(self._choosers))
        alone = at_once(self._alone, numbers, [room for _ in numbers], [hasty for _ in numbers])
        alone = at_once(self._meeting, numbers, alone, [room for _ in numbers],
                        [budget for _ in numbers])
        if not self._times:
            self._times = tuple(each.interval for each in at_once(self._measure, numbers, alone))
        times = self._times
        if single and self._objective != "resources":
            return Decision(selections=tuple(alone), alone=times, gap=0.0)
        self._beside = budget, aside
        return self._share(alone, times, room)

    def running(self, n: int, selection: Selection) -> Running:
        """How the engine of a network's selection runs; of each network the last one is kept, as
        what is measured here is what is made of the decision."""
        chooser = self._choosers[n]
        asked = (selection.picks.tobytes(), selection.limit, selection.interval,
                 frozenset(chooser.spilled))
        if self._runs.get(n, (None,))[0] != asked:
            self._runs[n] = asked, Running.of(chooser, selection)
        return self._runs[n][1]

    def lowers_latency(self, n: int) -> bool:
        """Whether single stages of a network may be faster than its interval asks for."""
        return len(self._choosers) == 1 or bool(self._targets[n].latency_ms)

    def refolded(self, decision: Decision, n: int, room: Resources) -> Decision | None:
        """One network's stages folded otherwise, within what there is for it and the words that it
        moves: as fast as before if that fits, else as fast as fits. Frames of all are then as far
        apart as the memory makes them. None where nothing does, or single stages may be faster than
        the interval asks for."""
        if self.lowers_latency(n):
            return None
        chooser, before = self._choosers[n], decision.selections[n]
        bounds = [target.most_cycles(self._clock) or ANY for target in self._targets]
        other = chooser.within(chooser.counted(before), room)
        if not chooser.fits(other, room):
            words = self._words
            if words is not None and self._shared:
                words = max(before.words / before.interval, LEAST_WORDS)
            slower = fastest(chooser, Room.of(room, words))
            if slower is None or not self._keeps(n, slower, bounds):
                return None
            other = slower
        if self._words is None or not self._shared:
            other = dataclasses.replace(other, interval=max(other.interval, before.interval))
            return dataclasses.replace(decision, selections=(
                *decision.selections[:n], other, *decision.selections[n + 1:]))
        # What is refolded may move other words, of which others then have more or less.
        selections = list(map(Chooser.counted, self._choosers, decision.selections))
        selections[n] = other
        worth, held = self._held_apart(self._as_measured(selections), decision.alone, bounds)
        return None if worth == NOTHING else dataclasses.replace(decision, selections=held)

    def worth(self, progress: Sequence[float]) -> tuple[float, float]:
        """What the objective makes of each network's progress, the greater the better: whether
        all reach the floor, then the objective's figure; all the same where it asks for the least
        of the device."""
        if self._objective == "resources":
            return 0.0, 0.0
        shares = [share / weight for share, weight in zip(progress, self._weights, strict=True)]
        if self._objective == "fairness":
            return 0.0, min(shares)
        kept = min(shares) * math.fsum(self._weights) >= FLOOR * (1 - FLOOR_SLACK)
        figure = weighted(progress, self._weights, 0.0 if kept else FLOOR)
        return float(kept), figure

    def _measure(self, n: int, selection: Selection) -> _Measured:
        key = n, selection.picks.tobytes(), selection.limit
        if key not in self._measurements:
            make = functools.partial(self._choosers[n].engine, selection)
            solver = ample(make)
            solver.settle()
            self._measurements[key] = _Measured(solver.result().interval_cycles, solver.latency)
        measured = self._measurements[key]
        return dataclasses.replace(measured, interval=max(measured.interval, selection.interval))

    def _check_smallest(self, room: Resources, budget: Resources, aside: Resources) -> None:
        """Whether the smallest foldings fit together."""
        options = [self._options(chooser, [smallest(chooser, room)], 1)
                   for chooser in self._choosers]
        total = sum((each[0].resources for each in options), Resources())
        if total.fits(room):
            return
        fronts = [self._options(chooser, front(chooser, room, fastest_interval=ANY // 2), 1)
                  + own for chooser, own in zip(self._choosers, options, strict=True)]
        found = combine(fronts, room, objective="resources", weights=self._weights, capped=False)
        assert found is not None
        total = sum((each[k].resources for each, k in zip(fronts, found.picks, strict=True)),
                    Resources())
        if total.fits(room):
            return
        raise TooLittle(*self._lacking("The smallest foldings of", total, room, budget, aside),
                        blocks=total.bram18 - room.bram18)

    def _lacking(self, what: str, total: Resources, room: Resources, budget: Resources,
                 aside: Resources) -> list[Problem]:
        """That something of all networks takes more than there is room for, with what is set aside
        for what lies beside them."""
        names = ", ".join(chooser.network.name for chooser in self._choosers)
        found = []
        for kind, amount in total.items():
            beyond, allowed = getattr(aside, kind), getattr(budget, kind)
            if amount > getattr(room, kind):
                beside = f", queues and the memory side {beyond}," if beyond else ","
                found.append(Problem(
                    where=kind, reason=f"{what} {names} need {amount}{beside} and {allowed} are "
                    "allowed.", remedy=f"Allow {amount + beyond} or more, or take a larger board."))
        return found

    def _alone(self, n: int, room: Resources, hasty: bool) -> Selection:
        """The network's fastest foldings where all is its own."""
        chooser = self._choosers[n]
        self._progress(f"Planning {chooser.network.name} alone")
        selection = fastest(chooser, room)
        if selection is None:
            raise BadInput(Problem(where=chooser.network.name, reason="No foldings fit the caps.",
                                   remedy="Allow more."))
        if (len(self._choosers) == 1 and self._objective != "resources"
                and not (hasty and is_large(chooser.engine(selection)))):
            selection = lower_latency(chooser, selection, room)
        return selection

    def _meeting(self, n: int, selection: Selection, room: Resources,
                 budget: Resources) -> Selection:
        """The same, or some of lower latency, if they meet the network's targets."""
        target = self._targets[n]
        most, allowed = target.most_cycles(self._clock), target.most_latency(self._clock)
        if most is None and allowed is None:
            return selection
        measured = self._measure(n, selection)
        if most is not None and measured.interval > most:
            raise self._missed_fps(n, most, measured.interval, budget)
        if allowed is not None and measured.latency > allowed:
            selection = self._lower(n, selection, room)
            reached = self._measure(n, selection).latency
            if reached > allowed:
                raise self._missed_latency(n, reached, allowed)
        return selection

    def _lower(self, n: int, selection: Selection, room: Resources) -> Selection:
        return lower_latency(self._choosers[n], selection, room)

    def _options(self, chooser: Chooser, selections: Sequence[Selection],
                 alone: int, slowest: int = 0) -> list[Option]:
        return [Option(interval=each.interval, resources=each.resources,
                       progress=alone / each.interval, words=each.words, slowest=slowest)
                for each in selections]

    def _share(self, alone: Sequence[Selection], times: Sequence[int],
               room: Resources) -> Decision:
        """The exact combination, tightened until every target is met by the recurrence."""
        bounds = [target.most_cycles(self._clock) or ANY for target in self._targets]
        fronts = at_once(self._front, range(len(alone)), alone, [room for _ in alone])
        self._progress("Combining the networks")
        for _ in range(TIGHTENINGS):
            found = self._combine(fronts, times, bounds, room, shared=self._shared)
            if found is None:
                raise self._missed_together(fronts, times, room)
            self._part = min(found.part, PARTS_OF_FLOOR[1])
            warnings = () if found.part == PARTS_OF_FLOOR[0] else (
                f"No split of the device gives every network {FLOOR:.0%} of its weight's share: "
                "what one lacks of it has counted twice.",)
            alternatives = self._alternatives(fronts, found.selections, times, bounds, room)
            # What others leave may be what a network needs for its latency.
            last = len(alternatives) == 1 or any(each.latency_ms for each in self._targets)
            trader = self._trader(times, bounds, room)
            selections = self._held(alternatives, times, bounds, None if last else trader)
            tightened = [self._tightened(n, selection, bounds[n])
                         for n, selection in enumerate(selections)]
            if tightened == bounds:
                if last and self._objective != "resources":
                    selections = trader.polished(selections)
                return Decision(selections=selections, alone=tuple(times), gap=found.gap,
                                warnings=warnings)
            improved = self._improved(selections, tightened, times, bounds, room)
            if improved is not None:
                return Decision(selections=improved, alone=tuple(times), gap=found.gap,
                                warnings=warnings)
            bounds = tightened
        raise self._missed_together(fronts, times, room)

    def _front(self, n: int, alone: Selection, room: Resources) -> list[Selection]:
        """The points that a network may have, the fastest one the last.

        Points that were found for another room are among them: prices that follow from a room miss
        some, and with a little less room a decision might then be a good deal worse.
        """
        chooser = self._choosers[n]
        self._progress(f"Drawing the front of {chooser.network.name}")
        drawn = front(chooser, room, fastest_interval=alone.interval)
        before = [paced(chooser.counted(each), room) for each in self._known[n]]
        self._known[n] = undominated(chooser, [*drawn, *before])
        return [*self._known[n], alone]

    def _alternatives(self, fronts, picked: Sequence[Selection], times: Sequence[int],
                      bounds: Sequence[int], room: Resources) -> list[Sequence[Selection]]:
        """What may be best where a memory is shared: the combination, improved; and what networks
        would take if they did not share it, which is then held apart."""
        if self._words is None or not self._shared or self._objective == "resources":
            return [picked]
        trader = self._trader(times, bounds, room)

        def unshared() -> Sequence[Selection] | None:
            found = self._combine(fronts, times, bounds, room, shared=False)
            return found.selections if found else None

        tries = [lambda: trader.traded(picked), unshared]
        found = [each for each in at_once(lambda take: take(), tries) if each is not None]
        return at_once(trader.polished, found)

    def _held(self, alternatives: Sequence[Sequence[Selection]], times: Sequence[int],
              bounds: Sequence[int], trader: Trader | None) -> tuple[Selection, ...]:
        """The alternative that is worth most, held apart for the memory as it really runs; a trader
        gives away before what networks that are held apart leave."""
        if len(alternatives) == 1:
            return self._paced(alternatives[0], times, bounds)
        promises = [self._held_apart(each, times, bounds) for each in alternatives]
        promises = [each for each in promises if each[0] > NOTHING]
        if trader is not None:
            polished = at_once(trader.polished, [held for _, held in promises])
            promises = [self._held_apart(each, times, bounds) for each in polished]
        best, chosen = NOTHING, None
        # None is faster than its foldings say: what is worth least by those need not be measured.
        for promised, selections in sorted(promises, key=lambda each: each[0], reverse=True):
            if promised <= best:
                break
            worth, held = self._held_apart(self._as_measured(selections), times, bounds)
            if worth > best:
                best, chosen = worth, held
        return chosen or self._paced(alternatives[0], times, bounds)

    def _as_measured(self, selections: Sequence[Selection]) -> list[Selection]:
        """The selections as fast as their engines are where the memory never holds them up."""
        running = at_once(self.running, range(len(selections)), selections)
        return [dataclasses.replace(each, interval=max(each.interval, real.interval))
                for each, real in zip(selections, running, strict=True)]

    def _trader(self, times: Sequence[int], bounds: Sequence[int], room: Resources) -> Trader:
        """What makes more of selections that keep to these bounds."""
        return Trader(
            choosers=self._choosers, room=room, words=self._words, shared=self._shared,
            known=self._known,
            longest=[most or ANY for most in self._slowest(times, bounds, self._part)],
            keeps=lambda n, option: self._keeps(n, option, bounds),
            worth=lambda picked: self._held_apart(picked, times, bounds)[0])

    def _held_apart(self, picked: Sequence[Selection], times: Sequence[int],
                    bounds: Sequence[int]) -> tuple[Worth, tuple[Selection, ...]]:
        """What selections are worth, held apart for the memory, and they so; nothing, and as they
        are, where it gives too little."""
        try:
            held = self._paced(picked, times, bounds)
        except Infeasible:
            return NOTHING, tuple(picked)
        return self.worth([time / each.interval
                           for time, each in zip(times, held, strict=True)]), held

    def _keeps(self, n: int, selection: Selection, bounds: Sequence[int]) -> bool:
        """Whether a network keeps to its targets with a selection."""
        return self._tightened(n, selection, bounds[n]) == bounds[n]

    def _improved(self, selections: Sequence[Selection], tightened: Sequence[int],
                  times: Sequence[int], bounds: Sequence[int],
                  room: Resources) -> tuple[Selection, ...] | None:
        """The selections with the latency of those that missed lowered by what is left."""
        made, trader = list(selections), self._trader(times, bounds, room)
        for n, chooser in enumerate(self._choosers):
            if tightened[n] == bounds[n]:
                continue
            made[n] = lower_latency(chooser, made[n], trader.left(made, n))
            if not self._keeps(n, made[n], bounds):
                return None
        return tuple(made)

    def _tightened(self, n: int, selection: Selection, bound: int) -> int:
        """The bound on the interval, or a lower one where a target is missed at this one."""
        target = self._targets[n]
        most, allowed = target.most_cycles(self._clock), target.most_latency(self._clock)
        if most is None and allowed is None:
            return bound
        measured = self._measure(n, selection)
        if most is not None and measured.interval > most:
            return min(bound, selection.interval - 1)
        if allowed is not None and measured.latency > allowed:
            ratio = max(allowed / measured.latency, 0.5)
            return min(bound, selection.interval - 1,
                       int(selection.interval * max(ratio, LATENCY_STEP)))
        return bound

    def _combine(self, fronts, times, bounds, room, *, shared: bool) -> _Combined | None:
        """Each network has its floor if all can; else what one lacks counts once more."""
        for part in self._parts:
            slowest = self._slowest(times, bounds, part)
            kept = [[each for each in selections if each.interval <= (most or bound)]
                    for selections, most, bound in zip(fronts, slowest, bounds, strict=True)]
            options = [self._options(chooser, each, time, most) for chooser, each, time, most
                       in zip(self._choosers, kept, times, slowest, strict=True)]
            found = combine(options, room, objective=self._objective, weights=self._weights,
                            shared=shared, floor=0.0 if part == self._parts[0] else FLOOR)
            if found is not None:
                return _Combined(selections=[each[k] for each, k in
                                             zip(kept, found.picks, strict=True)],
                                 gap=found.gap, part=part)
        return None

    @property
    def _parts(self) -> tuple[float, ...]:
        """Of its floor, what each network has at least: the first where all can."""
        return PARTS_OF_FLOOR if self._objective == "throughput" else PARTS_OF_FLOOR[:1]

    def _slowest(self, times: Sequence[int], bounds: Sequence[int], part: float) -> list[int]:
        """The longest interval that each network may have for a part of its floor, or to which its
        frames may be held apart; 0 where nothing says so."""
        total = sum(self._weights)
        floor = part * FLOOR if self._objective == "throughput" else 0.0
        longest = [math.floor(time * total / weight / floor) if floor else ANY
                   for time, weight in zip(times, self._weights, strict=True)]
        anything = ANY if self._objective == "resources" else 0
        return [least if least < ANY else anything for least in map(min, longest, bounds)]

    def _paced(self, selections: Sequence[Selection], times: Sequence[int],
               bounds: Sequence[int]) -> tuple[Selection, ...]:
        """The selections, their frames as far apart as the memory makes them."""
        if self._memory is None or not self._shared:
            return tuple(selections)
        traffics = [Traffic(network=chooser.network.name, interval=each.interval, words=each.words,
                            alone=time, weight=weight,
                            most_interval=max(bound, each.interval) if bound < ANY else None)
                    for chooser, each, time, weight, bound
                    in zip(self._choosers, selections, times, self._weights, bounds, strict=True)]
        paces = least_pace(traffics, self._memory.derated * USABLE, self._objective, self._part)
        return tuple(dataclasses.replace(each, interval=pace)
                     for each, pace in zip(selections, paces, strict=True))

    def _missed_fps(self, n: int, most: int, reached: int, budget: Resources) -> TargetMissed:
        chooser, target = self._choosers[n], self._targets[n]
        assert target.fps is not None
        faster = f"allow more, raise the clock to {target.fps * reached / 1e6:.4g} MHz"
        cheapest = chooser.choose(most, prices_of(chooser.bounds(budget, most)))
        least = chooser.least_words * target.fps / (self._clock * 1e6)
        if self._words is not None and least > self._words:
            binds = f"The target needs {self._shortage(Resources(), budget, least)}."
            faster = "allow more bandwidth"
        elif cheapest is None:
            binds = (f"No folding of its stages takes fewer than {int(chooser.useful[0])} cycles "
                     f"a frame, and the target allows {most}.")
        else:
            words = cheapest.words / most
            binds = f"The target needs {self._shortage(cheapest.resources, budget, words)}."
            if cheapest.resources.fits(budget):
                faster = "allow more bandwidth"
        fps = self._clock * 1e6 / reached
        return TargetMissed(Problem(
            where=chooser.network.name, reason=f"{target.fps:g} fps cannot be met: alone on the "
            f"whole budget it reaches {fps:.6g} fps ({reached} cycles a frame, "
            f"{reached - most} too many). {binds}",
            remedy=f"Lower the target to {fps:.6g} fps, {faster}, or take a larger board."))

    def _shortage(self, demand: Resources, bound: Resources, words: float) -> str:
        """Demand, bound and gap of what is short; words are per cycle."""
        short = [f"{amount} {kind} of {getattr(bound, kind)} "
                 f"({amount - getattr(bound, kind)} too many)"
                 for kind, amount in demand.items() if amount > getattr(bound, kind)]
        if self._words is not None and self._memory is not None and words > self._words:
            unit = self._memory.word_bytes * self._clock / 1000
            short.append(f"{words * unit:.4g} GB/s of the {self._words * unit:.4g} that refreshes "
                         f"leave ({(words - self._words) * unit:.4g} too many)")
        return ", ".join(short)

    def _missed_latency(self, n: int, reached: int, allowed: int) -> TargetMissed:
        chooser, target = self._choosers[n], self._targets[n]
        milliseconds = reached / self._clock / 1e3
        return TargetMissed(Problem(
            where=chooser.network.name, reason=f"{target.latency_ms:g} ms cannot be met: alone on "
            f"the whole budget it reaches {milliseconds:.6g} ms ({reached} cycles, "
            f"{reached - allowed} too many).",
            remedy=f"Allow {milliseconds:.6g} ms, raise the clock to "
            f"{self._clock * reached / allowed:.4g} MHz, or take a larger board."))

    def _missed_together(self, fronts, times, room) -> BadInput:
        """Each target can be met alone, and all of them cannot together; or networks without
        targets cannot be as fast as the least part of their floors asks for."""
        bounds = [target.most_cycles(self._clock) or ANY for target in self._targets]
        names = ", ".join(chooser.network.name for chooser, target in
                          zip(self._choosers, self._targets, strict=True)
                          if target.fps or target.latency_ms)
        options = self._allowed(fronts, times, bounds)
        least = combine(options, room, objective="resources", weights=self._weights, capped=False,
                        shared=self._shared)
        picked = [] if least is None else [each[k] for each, k in zip(options, least.picks,
                                                                      strict=True)]
        demand = sum((each.resources for each in picked), Resources())
        short = self._shortage(demand, room, sum(each.least_rate for each in picked)
                               if self._shared else 0.0)
        if not short and not any(target.latency_ms for target in self._targets):
            return self._none_fast_enough(fronts, times, bounds, room)
        binds = (f"They need {short}." if short
                 else "Latencies bind: intervals that reach them do not fit together.")
        more = "allow more bandwidth" if short and demand.fits(room) else "allow more"
        return TargetMissed(Problem(
            where=names, reason=f"Each target can be met alone, all of them together cannot. "
            f"{binds}", remedy=f"Lower the targets to {self._common_share(fronts, times, room):.0%}"
            f" of what they are, {more}, or take a larger board."))

    def _none_fast_enough(self, fronts, times, bounds, room) -> TooLittle:
        """What foldings lack that reach the least part of every floor, and the targets."""
        part = self._parts[-1]
        slowest = self._slowest(times, bounds, part)
        options = self._allowed(fronts, times, [most or ANY for most in slowest])
        least = combine(options, room, objective="resources", weights=self._weights, capped=False)
        picks = least.picks if least else ()
        total = sum((each[k].resources for each, k in zip(options, picks, strict=False)),
                    Resources())
        lacking = self._lacking(f"With {part * FLOOR:.1%} of their weights' shares,", total, room,
                                *self._beside)
        return TooLittle(*(lacking or [Problem(
            where="networks", reason=f"Together they cannot even have {part * FLOOR:.1%} of their "
            "weights' shares.", remedy="Allow more, or leave one out.")]),
            blocks=total.bram18 - room.bram18)

    def _allowed(self, fronts, times, bounds) -> list[list[Option]]:
        """The options that keep to these intervals."""
        return [self._options(chooser, [each for each in selections if each.interval <= bound],
                              time, bound if bound < ANY else 0)
                for chooser, selections, bound, time
                in zip(self._choosers, fronts, bounds, times, strict=True)]

    def _common_share(self, fronts, times, room) -> float:
        """The greatest share of all targets that can be met together."""
        low, high = 0.0, 1.0
        for _ in range(10):
            share = (low + high) / 2
            bounds = [int((target.most_cycles(self._clock) or ANY) / share)
                      for target in self._targets]
            found = combine(self._allowed(fronts, times, bounds), room, objective="resources",
                            weights=self._weights, shared=self._shared)
            low, high = (low, share) if found is None else (share, high)
        return low
