"""What can be wrong with what a user gave, collected so that all of it is told at once."""

import dataclasses


__all__ = ["BadInput", "Problem", "TargetMissed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, and what to do about it.

    Parameters
    ----------
    where : :class:`str`
        File, network, node (name and type), option or array.
    reason : :class:`str`
        What is wrong, in one sentence.
    remedy : :class:`str`
        What the user can do; empty where the reason says it.
    """

    where: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" + (f" {self.remedy}" if self.remedy else "")


class BadInput(Exception):
    """The input cannot be worked on; exit code 2.

    Parameters
    ----------
    problems : :class:`Problem`
        All of them.
    """

    exit_code = 2

    def __init__(self, *problems: Problem):
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class TargetMissed(BadInput):
    """The input is fine, and the answer is no; exit code 1."""

    exit_code = 1
