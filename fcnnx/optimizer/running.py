"""How the engine of a selection runs while nothing holds it up."""

import dataclasses
from collections.abc import Callable

from fcnnx.hdl.engine import Engine

from .choice import Chooser, Selection
from .fifos import Places, with_ample_queues
from .memory import spread
from .timing import Solver


__all__ = ["Running"]


@dataclasses.dataclass(frozen=True, eq=False)
class Running:
    """A selection's engine, by what its queues hold.

    Parameters
    ----------
    make : function
        The engine with these depths of the branches' queues, by the name of a fork.
    ideal : :class:`Solver`
        Of it with queues that are never full.
    """

    make: Callable[[Places], Engine]
    ideal: Solver

    @classmethod
    def of(cls, chooser: Chooser, selection: Selection) -> "Running":
        """With stages that run evenly, where weights are streamed and that costs nothing: their
        beats come at other times than those of stages that run as fast as they can."""
        def uneven(places: Places) -> Engine:
            return chooser.engine(selection, places)

        def even(places: Places) -> Engine:
            return spread(uneven(places), selection.interval)

        if even({}) == uneven({}):
            return cls(uneven, with_ample_queues(uneven))
        evenly = cls(even, with_ample_queues(even))
        if evenly.interval <= selection.interval:
            return evenly
        fast = cls(uneven, with_ample_queues(uneven))
        return evenly if evenly.interval <= fast.interval else fast

    @property
    def interval(self) -> int:
        """Cycles from frame to frame."""
        return self.ideal.result().interval_cycles
