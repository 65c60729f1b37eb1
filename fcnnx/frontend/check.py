"""Networks against onnxruntime, layer by layer, each on the reference's own inputs."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import onnx

from fcnnx.hdl.engine import Source

from .graph import session
from .importer import Imported


__all__ = ["Comparison", "compare_layers", "run_reference"]


TIE = 2.0 ** -10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A stage's outputs against the reference's.

    Parameters
    ----------
    stage : :class:`str`
    values : :class:`int`
        Compared ones: those whose exact result is no tie, within 2 ** -10 of a step.
    equal : :class:`int`
        How many of them are equal.
    worst : :class:`int`
        The greatest difference, ties included, in steps.
    """

    stage: str
    values: int
    equal: int
    worst: int

    @property
    def share(self) -> float:
        """Of equal values among those compared."""
        return self.equal / self.values if self.values else 1.0


def run_reference(model: bytes, inputs: Mapping[str, np.ndarray],
                  tensors: list[str]) -> dict[str, np.ndarray]:
    """These tensors of the model and its outputs, computed by onnxruntime without optimisation.

    Parameters
    ----------
    model : the quantised model
    inputs : arrays by input, first axis frames
    tensors : names
    """
    proto = onnx.load_from_string(model)
    given = {each.name for each in [*proto.graph.output, *proto.graph.input]}
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name)
                              for name in dict.fromkeys(tensors) if name not in given)
    runner = session(proto)
    names = [each.name for each in runner.get_outputs()]
    frames = len(next(iter(inputs.values())))
    rows = [runner.run(names, {name: values[k:k + 1] for name, values in inputs.items()})
            for k in range(frames)]
    return dict(inputs) | {name: np.concatenate([row[k] for row in rows])
                           if rows[0][k].ndim else rows[0][k] for k, name in enumerate(names)}


def compare_layers(imported: Imported, inputs: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Every stage whose output is a tensor of the model, computed from the tensors before it.

    Parameters
    ----------
    imported : :class:`Imported`
    inputs : arrays by input of the model, first axis frames
    """
    network = imported.network
    ports = {Source(port.tensor): port for port in network.inputs}
    ports |= {Source(port.name): port for port in imported.layers}
    makers = {name: node for node in onnx.load_from_string(imported.model).graph.node
              for name in node.output if node.op_type == "QuantizeLinear"}
    scales = {port.tensor: makers[port.tensor].input[:2] for port in imported.layers
              if port.tensor in makers}
    floats = [name for pair in scales.values() for name in pair]
    tensors = run_reference(imported.model, inputs,
                            [port.tensor for port in ports.values()] + floats)
    values = {source: port.to_map(tensors[port.tensor]) for source, port in ports.items()}
    comparisons = []
    for stage in network.stages:
        source = Source(stage.name)
        (result,) = stage.operator.compute(*(values[each] for each in stage.inputs))
        if source not in ports:
            values[source] = result
            continue
        port = ports[source]
        steps = np.abs(result - values[source])
        clear = np.ones(steps.shape, bool)
        if port.tensor in scales:
            x, scale = (tensors[name].astype(np.float64) for name in scales[port.tensor])
            exact = x.reshape(len(result), -1) / scale.ravel()[0]
            exact = port.to_map(np.abs(exact - np.floor(exact) - 0.5) >= TIE)
            clear = exact.astype(bool)
        comparisons.append(Comparison(stage=stage.name, values=int(clear.sum()),
                                      equal=int((clear & (steps == 0)).sum()),
                                      worst=int(steps.max())))
    return comparisons
