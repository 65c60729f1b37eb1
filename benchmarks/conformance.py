"""ONNX's own test cases of every operator that is supported: ``python benchmarks/conformance.py``.

A case of ``onnx.backend.test`` is imported with its own data as calibration, its weights as
constants, and runs through the golden model. Its outputs must be those that the case expects, but
for what quantisation can do to them at the worst (:func:`fcnnx.frontend.tolerance.worst_errors`)
and the case's own tolerance of floats. ``CONFORMANCE.md`` tells what became of each case.
"""

import collections
import dataclasses
import pathlib
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx
from onnx.backend.test.case.test_case import TestCase

from fcnnx.errors import BadInput
from fcnnx.frontend import Host, Imported, ModelSource, import_models, supported
from fcnnx.frontend.tolerance import worst_errors


HERE = pathlib.Path(__file__).resolve().parent

# Inputs that are no activations, beside the first one of each node.
TWO_ACTIVATIONS = {"Add", "Mul", "Sub", "Sum", "Concat"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a case.

    Parameters
    ----------
    case, operators : :class:`str`
    outcome : :class:`str`
        "passed", "refused" or "failed".
    reason : :class:`str`
        Why it was refused, or failed.
    worst : :class:`float`
        The greatest difference, as a share of what is tolerated.
    bound : :class:`float`
        What is tolerated at the most, as a share of the range of what is expected.
    """

    case: str
    operators: str
    outcome: str
    reason: str = ""
    worst: float = 0.0
    bound: float = 0.0


def cases(operators: Iterable[str] | None = None) -> Iterator[TestCase]:
    """Cases of no other operators than those that are supported, or of these."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases
        found = collect_testcases(None)
    known = {name for name, _ in supported()[1:]}
    wanted = known if operators is None else set(operators)
    for case in found:
        used = {node.op_type if node.domain in ("", "ai.onnx") else node.domain
                for node in case.model.graph.node}
        if used and used <= known and used & wanted:
            yield case


def run(case: TestCase) -> Result:
    """What becomes of a case."""
    operators = ", ".join(sorted({node.op_type for node in case.model.graph.node}))
    worst = bound = 0.0
    try:
        for inputs, outputs in case.data_sets:
            now = _compared(case, inputs, outputs)
            worst, bound = max(worst, now[0]), max(bound, now[1])
    except BadInput as error:
        return Result(case=case.name, operators=operators, outcome="refused",
                      reason=" ".join(f"{problem.where.partition(':')[2]} {problem.reason}".strip()
                                      for problem in error.problems))
    return Result(case=case.name, operators=operators, worst=worst, bound=bound,
                  outcome="passed" if worst <= 1 else "failed",
                  reason="" if worst <= 1 else f"{worst:.3g} times what is tolerated")


def _compared(case: TestCase, inputs: list, outputs: list) -> tuple[float, float]:
    """Worst difference and greatest tolerance, as :class:`Result` says."""
    model, feeds = _bound(case.model, inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "case.onnx"
        onnx.save(model, path)
        arrays = {name: each for name, each in feeds.items() if isinstance(each, np.ndarray)}
        floats = {name: each for name, each in arrays.items() if each.dtype == np.float32}
        shapes = {name: (1, *each.shape[1:]) for name, each in arrays.items() if each.ndim}
        (imported,) = import_models([ModelSource("case", path, shapes, floats or None)])
    found = golden(imported, feeds)
    errors = worst_errors(imported.model, feeds) if imported.float_model else {}
    worst = bound = 0.0
    for info, expected in zip(model.graph.output, outputs, strict=True):
        if found[info.name].shape[1:] == expected.shape:  # an output without a batch
            expected = expected[None]
        if found[info.name].shape != expected.shape:
            return np.inf, 0.0
        wanted = expected.astype(np.float64)
        allowed = case.atol + case.rtol * np.abs(wanted) + errors.get(info.name, 0.0)
        worst = max(worst, float((np.abs(found[info.name] - wanted) / allowed).max()))
        span = float(wanted.max() - min(wanted.min(), 0)) or 1.0
        bound = max(bound, float(np.max(allowed)) / span)
    return worst, bound


def golden(imported: Imported, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of the golden model, and of the host around it."""
    host = Host(imported.model, imported.network)
    return host.dequantize(imported.network.compute(host.quantize(inputs)))


def _bound(model: onnx.ModelProto, inputs: list) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model with what is no activation as constants, and its other inputs."""
    given = {info.name: onnx.numpy_helper.to_array(each) if isinstance(each, onnx.TensorProto)
             else each for info, each in zip(model.graph.input, inputs, strict=True)}
    constants = {name for node in model.graph.node for name in _constants(node, given)}
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    del bound.graph.input[:]
    bound.graph.input.extend(info for info in model.graph.input if info.name not in constants)
    bound.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(given[name]), name)
                                   for name in given if name in constants)
    return bound, {name: each for name, each in given.items() if name not in constants}


def _constants(node: onnx.NodeProto, given: dict) -> Iterator[str]:
    (first, *others) = [name for name in node.input if name]
    for name in others:
        if name in given and name != first and not (
                node.op_type in TWO_ACTIVATIONS and first in given
                and np.ndim(given[name]) == np.ndim(given[first])):
            yield name


def report(results: list[Result]) -> str:
    """The table, in Markdown."""
    counts = collections.Counter(result.outcome for result in results)
    lines = [
        "# ONNX's own test cases", "",
        f"`python benchmarks/conformance.py`, onnx {onnx.__version__}: of {len(results)} node test "
        f"cases of supported operators (all nodes of a case are), {counts['passed']} passed, "
        f"{counts['refused']} were refused, {counts['failed']} failed.", "",
        "Each case is quantised with its own data as calibration, inputs that are no activations "
        "bound as constants, and computed by the golden model. Tolerated is what half a step of "
        "each quantisation can do to the output at the worst, and the case's own tolerance of "
        "floats; *used* is the greatest difference as a share of what is tolerated there, "
        "*tolerated* the most that is, as a share of the range of the expected values.", "",
        "| case | operators | outcome | used | tolerated | reason |", "|---|---|---|---|---|---|"]
    for each in sorted(results, key=lambda each: (each.operators, each.case)):
        figures = "| |" if each.outcome == "refused" else \
            f"{each.worst:.2f} | {100 * each.bound:.2g} % |"
        reason = each.reason.replace("|", "\\|")
        lines.append(f"| {each.case} | {each.operators} | {each.outcome} | {figures} {reason} |")
    limits = [f"| {name} | {text} |" for name, text in supported()]
    return "\n".join([*lines, "", "The limits that `fcnnx ops` states:", "",
                      "| operator | limits |", "|---|---|", *limits, ""])


def main() -> int:
    results = [run(case) for case in cases()]
    (HERE / "CONFORMANCE.md").write_text(report(results))
    for outcome, count in sorted(collections.Counter(each.outcome for each in results).items()):
        print(f"{outcome}: {count}")
    failed = [each for each in results if each.outcome == "failed"]
    for each in failed:
        print(f"{each.case}: {each.reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
