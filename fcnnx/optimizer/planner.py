"""From networks, a board and what is wanted to a plan."""

import dataclasses
import difflib
import functools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from fcnnx.boards import Board
from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.device import KINDS, Device, Resources
from fcnnx.hdl.engine import Engine
from fcnnx.hdl.operator import Operator
from fcnnx.memory import MemoryTiming, memory_timing
from fcnnx.network import Network
from fcnnx.plan import NetworkPlan, Plan, StagePlan

from .choice import Chooser, Selection
from .concurrency import at_once
from .decision import POLICIES, Decider, Decision, TooLittle
from .equations import Equations
from .evidence import Evidence, evidence
from .fifos import size_queues
from .folding import engine_resources
from .memory import POLICIES as SCHEDULES
from .memory import MemoryPlan, plan_memory
from .partition import OBJECTIVES
from .targets import Target, merge_targets
from .timing import EngineTiming, is_large


__all__ = ["check_io", "plan"]


BRAM18_BITS = 18 * 1024
LEAST_SPILLED = 2 * BRAM18_BITS  # of a queue: of less, its way through memory takes as much
ATTEMPTS = 6  # until queues at joins, sized last, fit as well
NEARLY = 0.05  # of the budget, that is mended where it is too much
NEARLY_LARGE = 0.005  # of large networks: to decide anew takes no longer, and finds faster ones
MENDS = 2  # of one plan, one after the other
STEPS = 4  # between what is set aside and what would have done
CROWDED = 0.85  # of a device's look-up tables: the rest is what routers ask for
IOS = ("stream", "dram")
ADDRESS_WIDTH = 32  # the memory that boards have below 4 GiB is what is used
# Of the memory side, until it is known: all but its streams, and each stream.
FIRST_GUESS, GUESS_OF_STREAM = Resources(lut=1500, ff=1500), Resources(lut=500, ff=500)
MOST_PACE = (1 << 32) - 1
LEAST_CLOCK_MHZ, MOST_CLOCK_MHZ = 1.0, 1000.0

Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Finished:
    """One network's engine, queues sized."""

    engine: Engine
    timing: EngineTiming
    resources: Resources
    equations: Equations | None = None  # as long as its timing is asked for


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Decided:
    """What became of a decision: engines, and the memory side with what it takes."""

    decision: Decision
    networks: list[_Finished]
    memory: MemoryPlan | None
    side: Resources

    @property
    def resources(self) -> Resources:
        """Of all."""
        return sum((each.resources for each in self.networks), self.side)

    @property
    def large(self) -> bool:
        """Whether sizing the queues of a network takes longer than deciding."""
        return any(is_large(each.engine) for each in self.networks)


_MemoryPlanner = Callable[[Sequence[_Finished], Sequence[Selection]], MemoryPlan]


def plan(networks: Sequence[Network], board: Board, *,
         targets: Mapping[str, Target] | Iterable[Target] = (), objective: str = "throughput",
         caps: Mapping[str, int] | Resources | None = None, headroom_percent: float = 0.0,
         clock_mhz: float | None = None, io: str | None = None,
         bandwidth_gbps: float | None = None, schedule: str = "cyclic", policy: str = "joint",
         allowed: Callable[[str, str, tuple[Operator, ...]], bool] | None = None,
         progress: Progress | None = None) -> Plan:
    """Decide every folding and every queue of an accelerator for these networks.

    One network: the fastest interval within the budget, then the lowest latency, then the least
    resources. Several: a point of each network's front, by one exact combination. Objectives are
    ``"throughput"``, the weighted sum of T_alone / T_shared, of which no network gets less than
    half of its weight's share, and where that cannot be, what one lacks of it counts twice;
    ``"fairness"``, the least of them over its weight's share; ``"resources"``, the targets with
    the smallest share of the budget. Targets in frames per second and milliseconds are kept by
    each.

    Parameters
    ----------
    networks : sequence of :class:`Network`
        Of different names.
    board : :class:`Board`
    targets : :class:`Target`, several for a network if they agree
    objective : :class:`str`
    caps : amounts by kind
        Of the device's resources to use at most.
    headroom_percent : :class:`float`
        Of each of the device's resources to leave free.
    clock_mhz : :class:`float` or None
        The device's usual clock where it is None.
    io : :class:`str` or None
        ``"stream"``: inputs and outputs are streams of the accelerator; ``"dram"``: it brings and
        takes its frames from the board's memory itself; None: what is usual for the board.
    bandwidth_gbps : :class:`float` or None
        Of the memory to use at most, in 10 ** 9 bytes per second.
    schedule : :class:`str`
        ``"cyclic"``: ports serve by tables that are solved and proven here, ``"round-robin"``: in
        turn.
    policy : :class:`str`
        ``"joint"``: networks share the bandwidth as the objective asks; ``"unaware"``: each is
        planned as if the memory were its own.
    allowed : callable or None
        Which foldings may be taken, by network, stage and the operators that they put in its place;
        all where it is None.
    progress : callable or None
        Is told each step.

    Raises
    ------
    BadInput
        If an option is wrong, or the caps are too small for the smallest foldings.
    TargetMissed
        If a target cannot be met.
    """
    started = time.perf_counter()
    progress = progress or _silent
    wanted = targets.values() if isinstance(targets, Mapping) else targets
    names = [network.name for network in networks]
    merged = merge_targets(wanted, names)
    each_target = [merged[name] for name in names]
    clock = board.device.clock_mhz if clock_mhz is None else float(clock_mhz)
    budget = _budget(board.device, caps, headroom_percent)
    _check(objective, policy, clock)
    io = io or board.usual_io
    check_io(board, io, bandwidth_gbps, schedule)
    memory = memory_timing(board, clock, bandwidth_gbps) if io == "dram" else None
    progress("Weighing the foldings of each stage")
    choosers = [Chooser(network, board.device, memory, allowed and functools.partial(
        allowed, network.name)) for network in networks]
    decider = Decider(choosers, each_target, objective=objective, clock_mhz=clock, policy=policy,
                      progress=progress)
    planned = None if memory is None else functools.partial(
        _plan_memory, memory=memory, targets=each_target, clock_mhz=clock, policy=schedule)
    decided = _decide(decider, choosers, budget, planned, progress)
    progress("Looking at what was not chosen")
    rows = _network_plans(choosers, decided, each_target, budget)
    finished, side = decided.networks, decided.memory
    return Plan(board=board.name, device=board.device, clock_mhz=clock, budget=budget,
                accelerator=Accelerator(engines=tuple(each.engine for each in finished),
                                        memory=None if side is None else side.system),
                networks=rows, objective=objective, gap=decided.decision.gap, memory=memory,
                schedule=None if side is None else side.schedule, memory_resources=decided.side,
                warnings=(*decided.decision.warnings, *_waiting(finished),
                          *_crowded(finished, decided.side, board.device)),
                seconds=time.perf_counter() - started)


def _silent(step: str) -> None:
    """Progress that nobody watches."""


def check_io(board: Board | None, io: str | None, bandwidth_gbps: float | None,
             schedule: str) -> None:
    """Whether a board's memory can be used so; the board may not be known, and where nobody says
    what inputs and outputs are, they are what is usual for it.

    Raises
    ------
    BadInput
        With all that is wrong.
    """
    problems = []
    if io is None and board is not None:
        io = board.usual_io
    if io is not None and io not in IOS:
        problems.append(Problem(where="--io", reason=f"Inputs and outputs cannot be {io!r}.",
                                remedy=f"There are: {', '.join(IOS)}."))
    if io == "dram" and board is not None and not board.ports:
        problems.append(Problem(where="--io", reason=f"{board.name} has no memory that its fabric "
                                "reaches.", remedy="Use --io stream, or another board."))
    if io == "stream" and bandwidth_gbps is not None:
        problems.append(Problem(where="--bandwidth", reason="With streams at the top nothing "
                                "crosses a memory.", remedy="Leave it out, or use --io dram."))
    elif bandwidth_gbps is not None and not bandwidth_gbps > 0:
        problems.append(Problem(where="--bandwidth", reason=f"A memory of {bandwidth_gbps:g} GB/s "
                                "moves nothing.", remedy="Give more than 0."))
    if schedule not in SCHEDULES:
        problems.append(Problem(where="--schedule", reason=f"There is no schedule {schedule!r}.",
                                remedy=f"There are: {', '.join(SCHEDULES)}."))
    if problems:
        raise BadInput(*problems)


def _plan_memory(finished: Sequence[_Finished], selections: Sequence[Selection], *,
                 memory: MemoryTiming, targets: Sequence[Target], clock_mhz: float,
                 policy: str) -> MemoryPlan:
    """The memory side of some engines.

    Raises
    ------
    BadInput
        If frames take longer than registers count.
    TargetMissed
        If the memory gives less than targets ask for.
    """
    side = plan_memory(
        [each.engine for each in finished], [each.timing for each in finished], memory,
        equations=[each.equations for each in finished],
        address_width=ADDRESS_WIDTH, paces=[each.interval for each in selections],
        most=[target.most_cycles(clock_mhz) for target in targets],
        even=[not target.latency_ms for target in targets], policy=policy)
    if slow := [each for each in side.engines if each.pace > MOST_PACE]:
        raise BadInput(*(Problem(
            where="--bandwidth", reason=f"A frame of {each.engine.name} takes {each.pace} cycles "
            f"with what the memory gives, and registers count to {MOST_PACE}.",
            remedy="Allow more.") for each in slow))
    return side


def _decide(decider: Decider, choosers: Sequence[Chooser], budget: Resources,
            planned: _MemoryPlanner | None, progress: Progress) -> _Decided:
    """The best of some attempts; where nothing fits, the longest queues go to the memory.

    Raises
    ------
    TooLittle
        If nothing fits even so.
    TargetMissed
        If a target cannot be met.
    """
    guess = Resources()
    if planned is not None:
        count = sum(len(chooser.network.inputs) + len(chooser.network.outputs) + 1
                    for chooser in choosers)
        guess = FIRST_GUESS + GUESS_OF_STREAM * count
    attempts = _Attempts(decider, choosers, budget, planned, progress, guess)
    while True:
        try:
            return attempts.best()
        except TooLittle as refusal:
            if _spill(choosers, refusal.blocks):
                progress("Moving queues to the memory")
            elif not _forget_lags(choosers):
                raise


class _Attempts:
    """Decisions, each with what those before it have told of what selections do not count
    themselves: the memory side, and queues at joins.

    Parameters
    ----------
    decider, choosers, budget, planned, progress : as :func:`_decide` has them
    guess : :class:`Resources`
        Of what selections do not count, until it is known.
    """

    def __init__(self, decider: Decider, choosers: Sequence[Chooser], budget: Resources,
                 planned: _MemoryPlanner | None, progress: Progress, guess: Resources):
        self._decider, self._choosers, self._budget = decider, choosers, budget
        self._planned, self._progress = planned, progress
        self._uncounted = self._aside = guess  # by the last attempt, and for it
        self._most = guess  # of each kind, by any attempt since queues were moved
        self._spared = Resources()  # besides, where counting better was not enough

    def best(self) -> _Decided:
        """Decide, size the queues and the memory side, and decide anew with what they take where
        that is too much, until it fits; then with less set aside. The best of all that fit is
        taken, what was too much by little folded otherwise among them; of large engines the first.

        Raises as :func:`_decide`.
        """
        self._most, self._spared = self._uncounted, Resources()
        fitting: list[_Decided] = []
        for attempt in range(ATTEMPTS):
            try:
                made = self._made(self._decision())
            except BadInput:
                if fitting:
                    break
                raise
            if (found := self._fitting(made)) is not None:
                fitting.append(found)
            fits = found is made
            if fitting and made.large:
                return self._unhurried(fitting[0])
            if fits and not attempt:
                break
            self._learn(made)
            if fits:
                fitting += self._with_less_aside()
                break
            if attempt:
                self._spared += made.resources.less(self._budget)
        if not fitting:
            raise TooLittle(*_over(made.resources, self._budget),
                            blocks=made.resources.bram18 - self._budget.bram18)
        return max(fitting, key=self._worth)

    def _unhurried(self, made: _Decided) -> _Decided:
        """The same with its latency lowered, if that is one network and still fits."""
        if len(self._choosers) > 1:
            return made
        try:
            lowered = self._made(self._decider.decide(self._budget, self._aside))
        except BadInput:
            return made
        return lowered if lowered.resources.fits(self._budget) else made

    def _with_less_aside(self) -> list[_Decided]:
        """What is decided with as much set aside as was needed, as less may have been left than
        there is; or with more, in steps, until something fits as it is."""
        fitting, beyond = [], self._aside.less(self._uncounted)
        for step in range(STEPS):
            aside = self._uncounted + Resources(**{kind: step * amount // STEPS
                                                   for kind, amount in beyond.items()})
            try:
                made = self._made(self._decider.decide(self._budget, aside))
            except BadInput:
                break
            if (found := self._fitting(made)) is not None:
                fitting.append(found)
            if found is made:
                break
        return fitting

    def _fitting(self, made: _Decided) -> _Decided | None:
        """It, if it fits, or what it becomes if it can be mended so that it does."""
        return made if made.resources.fits(self._budget) else self._mended(made)

    def _decision(self) -> Decision:
        """With what is known set aside; where that is too much, with the most of each kind: fast
        networks may have asked for much of the memory side, slow ones for queues."""
        self._aside = self._uncounted + self._spared
        try:
            return self._decider.decide(self._budget, self._aside, hasty=True)
        except TooLittle:
            if self._aside == self._most:
                raise
        self._spared, self._aside = Resources(), self._most
        return self._decider.decide(self._budget, self._aside, hasty=True)

    def _made(self, decision: Decision) -> _Decided:
        """A decision, its queues sized and its memory side planned."""
        device = self._choosers[0].device
        self._progress("Sizing the queues")
        finished = at_once(self._finished, range(len(self._choosers)), decision.selections)
        if self._planned is None:
            return _Decided(decision=decision, networks=finished, memory=None, side=Resources())
        self._progress("Scheduling the memory")
        memory = self._planned(finished, decision.selections)
        finished = [_Finished(engine=paced.engine, timing=paced.timing,
                              resources=engine_resources(paced.engine, device))
                    for paced in memory.engines]
        side = memory.system.resources([each.engine for each in finished], device)
        return _Decided(decision=decision, networks=finished, memory=memory, side=side)

    def _finished(self, n: int, selection: Selection) -> _Finished:
        """A network's engine, its queues sized."""
        running = self._decider.running(n, selection)
        solver = size_queues(running.make, running.ideal)
        return _Finished(engine=solver.engine, timing=solver.result(),
                         resources=engine_resources(solver.engine, self._choosers[n].device),
                         equations=solver.equations)

    def _mended(self, made: _Decided, patience: int = MENDS) -> _Decided | None:
        """What is by little too much with one network's stages folded otherwise, as fast as then
        fits, or one after the other; None where that does not do, or their latencies count."""
        over = made.resources.less(self._budget).share(self._budget)
        if over > (NEARLY_LARGE if made.large else NEARLY):
            return None
        found = []
        for n, (chooser, selection) in enumerate(zip(self._choosers, made.decision.selections,
                                                     strict=True)):
            own = chooser.counted(selection).resources
            other = self._decider.refolded(made.decision, n,
                                           (own + self._budget).less(made.resources))
            if other is not None:
                found.append(other)
        best: _Decided | None = None
        for decision in sorted(found, key=self._promised, reverse=True):
            if best is not None and self._promised(decision) <= self._worth(best):
                break
            try:
                tried = self._made(decision)
            except BadInput:
                continue
            mended: _Decided | None = tried
            if not tried.resources.fits(self._budget):
                # What lies between engines and memory has become more.
                mended = self._mended(tried, patience - 1) if patience > 1 else None
            if mended and (best is None or self._worth(mended) > self._worth(best)):
                best = mended
        return best

    def _learn(self, made: _Decided) -> None:
        """Have the next attempt know what forks hold, and what selections have not counted."""
        for chooser, done, selection in zip(self._choosers, made.networks,
                                            made.decision.selections, strict=True):
            chooser.remember(done.engine, selection)
        counted = sum((chooser.counted(selection).resources for chooser, selection
                       in zip(self._choosers, made.decision.selections, strict=True)), Resources())
        self._uncounted = made.resources.less(counted)
        self._most = Resources(**{kind: max(amount, getattr(self._most, kind))
                                  for kind, amount in self._uncounted.items()})

    def _promised(self, decision: Decision) -> tuple[float, float]:
        """What a decision is worth if engines are as fast as it says."""
        return self._decider.worth([time / each.interval for time, each
                                    in zip(decision.alone, decision.selections, strict=True)])

    def _worth(self, made: _Decided) -> tuple[float, float]:
        return self._decider.worth([time / each.timing.interval_cycles for time, each
                                    in zip(made.decision.alone, made.networks, strict=True)])


def _spill(choosers: Sequence[Chooser], blocks: int) -> bool:
    """Have the longest queues at joins in the memory, as many as free so many block RAMs; whether
    there was any."""
    bits = 0
    longest = sorted(((held, chooser, node, branch) for chooser in choosers
                      for node, branch, held in chooser.spillable() if held >= LEAST_SPILLED),
                     key=lambda each: -each[0])
    for held, chooser, node, branch in longest:
        if bits >= blocks * BRAM18_BITS:
            break
        chooser.spill(node, branch)
        bits += held
    return bits > 0


def _forget_lags(choosers: Sequence[Chooser]) -> bool:
    """Have queues cost nothing until they are sized, as they may be shorter than foldings tell;
    whether that is new."""
    forgotten = [chooser.forget_lags() for chooser in choosers]
    return any(forgotten)


def _waiting(finished: Sequence[_Finished]) -> tuple[str, ...]:
    """What is told of queues that are in the memory."""
    return tuple(f"{engine.name}: block RAM does not suffice for what waits where branches meet; "
                 f"in the memory are {', '.join(name for name, _ in engine.returning)}."
                 for engine in (each.engine for each in finished) if engine.returning)


def _crowded(finished: Sequence[_Finished], memory: Resources, device: Device) -> tuple[str, ...]:
    """A warning where routers will struggle."""
    used = memory.lut + sum(each.resources.lut for each in finished)
    share = used / device.resources.lut
    if share <= CROWDED:
        return ()
    return (f"{share:.0%} of the look-up tables of {device.name} are used: above {CROWDED:.0%} "
            "routing takes long, and costs clock or fails. --headroom leaves some free.",)


def _over(total: Resources, budget: Resources) -> list[Problem]:
    return [Problem(where=kind, reason=f"The networks need {amount} with the queues where their "
                    f"branches meet, and {getattr(budget, kind)} are allowed.",
                    remedy=f"Allow {amount} or more.")
            for kind, amount in total.items() if amount > getattr(budget, kind)]


def _budget(device: Device, caps: Mapping[str, int] | Resources | None,
            headroom_percent: float) -> Resources:
    """What may be used: the device less the headroom, or the cap where that is less."""
    problems = []
    given = dict(caps.items()) if caps is not None else {}
    for kind, amount in given.items():
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, n=1)
            problems.append(Problem(where="caps", reason=f"There is no resource {kind!r}.",
                                    remedy=f"Did you mean {near[0]}?" if near
                                    else f"There are: {', '.join(KINDS)}."))
        elif amount < 0:
            problems.append(Problem(where=f"--{kind}", reason=f"A cap cannot be {amount}.",
                                    remedy="Give 0 or more."))
    if not 0 <= headroom_percent < 100:
        problems.append(Problem(where="--headroom", reason=f"Headroom cannot be "
                                f"{headroom_percent} percent.", remedy="Give 0 to 99."))
    if problems:
        raise BadInput(*problems)
    share = 1 - headroom_percent / 100
    return Resources(**{kind: min(math.floor(amount * share + 1e-9), given.get(kind, amount))
                        for kind, amount in device.resources.items()})


def _check(objective: str, policy: str, clock_mhz: float) -> None:
    problems = []
    if objective not in OBJECTIVES:
        problems.append(Problem(where="--objective", reason=f"There is no objective "
                                f"{objective!r}.", remedy=f"There are: {', '.join(OBJECTIVES)}."))
    if policy not in POLICIES:
        problems.append(Problem(where="--policy", reason=f"There is no policy {policy!r}.",
                                remedy=f"There are: {', '.join(POLICIES)}."))
    if not LEAST_CLOCK_MHZ <= clock_mhz <= MOST_CLOCK_MHZ:
        problems.append(Problem(where="--clock", reason=f"The clock cannot be {clock_mhz} MHz.",
                                remedy=f"Give {LEAST_CLOCK_MHZ:.0f} to {MOST_CLOCK_MHZ:.0f}."))
    if problems:
        raise BadInput(*problems)


def _network_plans(choosers: Sequence[Chooser], decided: _Decided, targets: Sequence[Target],
                   budget: Resources) -> tuple[NetworkPlan, ...]:
    """What became of each network, and what was not chosen, others as they are."""
    decision, finished = decided.decision, decided.networks
    others = [[decided.side, *(other.resources for other in finished if other is not done)]
              for done in finished]
    shown = at_once(evidence, choosers, decision.selections, [done.engine for done in finished],
                    [budget for _ in finished], others)
    return tuple(map(_network_plan, choosers, finished, targets, decision.alone, shown))


def _network_plan(chooser: Chooser, done: _Finished, target: Target, alone: int,
                  shown: Evidence) -> NetworkPlan:
    device = chooser.device
    network, engine, timing = chooser.network, done.engine, done.timing
    stages = tuple(StagePlan(
        name=stage.name, operation=type(stage.operator).__name__,
        interval_cycles=stage.operator.interval,
        stall_share=round(timing.stages[stage.name].stall_share, 6), macs=stage.operator.macs,
        multipliers=stage.operator.multipliers, resources=stage.operator.resources(device))
        for stage in engine.stages)
    return NetworkPlan(
        name=network.name, inputs=network.inputs, outputs=network.outputs, macs=network.macs,
        multipliers=sum(stage.multipliers for stage in stages),
        interval_cycles=timing.interval_cycles, latency_cycles=timing.latency_cycles,
        alone_cycles=alone, weight=target.weight or 1.0, target_fps=target.fps,
        target_latency_ms=target.latency_ms, bottleneck=timing.bottleneck, stages=stages,
        resources=done.resources, warnings=network.warnings,
        front=shown.front, faster=shown.faster)
