"""What is being done now, for whoever waits."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


__all__ = ["Steps"]

OFTEN = 5.0  # seconds


class Steps:
    """Called with a text, it tells that this is the present step.

    On a terminal that is a line with the time since the start, which vanishes at the end. Elsewhere
    it is a line for each step, and now and then one for a step's own progress: what stands before
    the first colon is the same then.

    Parameters
    ----------
    console : :class:`rich.console.Console`
    """

    def __init__(self, console: Console):
        self._console = console
        self._display = Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False),
                                 TimeElapsedColumn(), console=console, transient=True)
        self._task = self._display.add_task("")
        self._start = time.monotonic()
        self._step = ""
        self._told = 0.0

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        if self._console.is_terminal:
            self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._display.stop()

    def __call__(self, step: str) -> None:
        if step == self._step:
            return
        same = step.partition(":")[0] == self._step.partition(":")[0]
        self._step = step
        self._display.update(self._task, description=step)
        seconds = time.monotonic() - self._start
        if not self._console.is_terminal and (not same or seconds - self._told > OFTEN):
            self._told = seconds
            self._console.print(f"{seconds:6.1f} s  {step}", markup=False, highlight=False)
