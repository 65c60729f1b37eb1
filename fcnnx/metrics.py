"""How well several networks share one device.

Everything follows from each network's normalised progress :math:`NP_i = T_i^{alone} / T_i^{shared}`
(Eyerman and Eeckhout, System-Level Performance Metrics for Multiprogram Workloads, 2008), in which
``T_alone`` is the interval of network i planned alone on the whole device under the same
constraints, and ``T_shared`` the one beside the others.
"""

import math
from collections.abc import Mapping, Sequence


__all__ = ["antt", "fairness", "fairness_weighted", "normalised_progress", "ntt", "stp",
           "stp_fps", "violation_rate"]


def normalised_progress(alone: Mapping[str, float],
                        shared: Mapping[str, float]) -> dict[str, float]:
    """NP_i = T_alone_i / T_shared_i: 1 where sharing costs a network nothing."""
    return {name: alone[name] / shared[name] for name in shared}


def stp(progress: Mapping[str, float]) -> float:
    """System throughput, STP = sum over i of NP_i.

    Under 1, the networks would be served better one after another on the whole device.
    """
    return math.fsum(progress.values())


def stp_fps(frames_per_second: Mapping[str, float]) -> float:
    """System throughput in frames, sum over i of the frames per second of network i."""
    return math.fsum(frames_per_second.values())


def ntt(progress: Mapping[str, float]) -> dict[str, float]:
    """Normalised turnaround time, NTT_i = 1 / NP_i: how many times slower than alone."""
    return {name: 1 / value for name, value in progress.items()}


def antt(progress: Mapping[str, float]) -> float:
    """Average normalised turnaround time, ANTT = mean over i of 1 / NP_i."""
    return math.fsum(1 / value for value in progress.values()) / len(progress)


def fairness(progress: Mapping[str, float]) -> float:
    """min over i, j of NP_i / NP_j: 1 where all are slowed alike."""
    return min(progress.values()) / max(progress.values())


def fairness_weighted(progress: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """min over i, j of PP_i / PP_j, where PP_i = NP_i / (weight_i / sum of the weights)."""
    total = math.fsum(weights[name] for name in progress)
    return fairness({name: value * total / weights[name] for name, value in progress.items()})


def violation_rate(finished: Sequence[float], due: Sequence[float]) -> float:
    """Share of frames that end later than they are due; 0 where there is no frame.

    Parameters
    ----------
    finished, due : numbers, one for each frame
        In the same unit: latencies and the target latency, or ends and deadlines.
    """
    late = [end > deadline for end, deadline in zip(finished, due, strict=True)]
    return sum(late) / len(late) if late else 0.0
