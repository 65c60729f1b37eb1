"""What the host does around the hardware: quantisation before it, float operators after it."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.utils

from fcnnx.errors import Problem
from fcnnx.network import Network

from .graph import Graph, quiet, session
from .quantize import random_inputs


__all__ = ["Host"]


class Host:
    """The parts of a quantised model before and after the hardware, run by onnxruntime.

    Parameters
    ----------
    model : :class:`bytes` or path
        The quantised model as implemented.
    network : :class:`Network`
        What the hardware computes of it.
    """

    def __init__(self, model: bytes | str | pathlib.Path, network: Network):
        content = model if isinstance(model, bytes) else pathlib.Path(model).read_bytes()
        self._network = network
        proto = onnx.load_from_string(content)
        self._graph = Graph.read(proto)
        entering = [port.tensor for port in network.inputs]
        leaving = [port.tensor for port in network.outputs]
        self._head = _Part(proto, self._graph.inputs, entering)
        self._tail = _Part(proto, leaving, self._graph.outputs)

    def quantize(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What enters the hardware.

        Parameters
        ----------
        inputs : arrays by input of the model, first axis frames

        Returns
        -------
        Integers, shape (frames, rows, columns, channels), by :attr:`Port.tensor`.
        """
        tensors = self._head.run(inputs)
        return {port.tensor: port.to_map(tensors[port.tensor]) for port in self._network.inputs}

    def dequantize(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's outputs.

        Parameters
        ----------
        outputs : integers, shape (frames, rows, columns, channels), by :attr:`Port.tensor`

        Returns
        -------
        Arrays by output of the model, first axis frames, values as the model gives them.
        """
        tensors = {}
        for port in self._network.outputs:
            frames = port.from_map(outputs[port.tensor])
            shape = self._graph.shapes[port.tensor]
            tensors[port.tensor] = frames.reshape(len(frames), *shape[1:]).astype(
                self._graph.types[port.tensor])
        return self._tail.run(tensors)

    def random(self, frames: int, seed: int) -> dict[str, np.ndarray]:
        """Seeded random inputs in the model's own types, first axis frames."""
        return random_inputs(self._graph, frames, seed)

    def problems(self, inputs: Mapping[str, np.ndarray],
                 frames: int | None = None) -> list[Problem]:
        """All that is wrong with inputs that a user gave.

        Parameters
        ----------
        inputs : arrays by input of the model
        frames : how many there must be; None where any number will do
        """
        names = ", ".join(map(repr, self._graph.inputs))
        found = [Problem(where=f"{self._network.name}/{name}", reason="The model has no such "
                         "input.", remedy=f"It has {names}.")
                 for name in inputs if name not in self._graph.inputs]
        for name in self._graph.inputs:
            if name not in inputs:
                found.append(Problem(where=f"{self._network.name}/{name}",
                                     reason="There is no array for this input."))
            else:
                found += self._array_problems(name, np.asarray(inputs[name]), frames)
        counts = {len(array) for array in map(np.asarray, inputs.values()) if array.ndim}
        if not found and len(counts) > 1:
            found.append(Problem(where=self._network.name, reason="Its inputs have different "
                                 f"numbers of frames: {', '.join(map(str, sorted(counts)))}."))
        return found

    def _array_problems(self, name: str, array: np.ndarray,
                        frames: int | None) -> list[Problem]:
        where = f"{self._network.name}/{name}"
        shape, kind = ("frames", *self._graph.shapes[name][1:]), self._graph.types[name]
        if array.ndim != len(shape) or array.shape[1:] != shape[1:]:
            return [Problem(where=where, reason="The array has the shape "
                            f"{'x'.join(map(str, array.shape)) or 'of a single value'}.",
                            remedy=f"It must have {'x'.join(map(str, shape))}.")]
        if not len(array) or (frames is not None and len(array) != frames):
            wanted = "at least one is needed" if frames is None else f"{frames} are needed"
            return [Problem(where=where, reason=f"The array has {len(array)} frames, and "
                            f"{wanted}.")]
        if array.dtype != kind and not (kind.kind == "f" and array.dtype.kind == "f"):
            return [Problem(where=where, reason=f"The array holds {array.dtype}.",
                            remedy=f"The model takes {kind}.")]
        if kind.kind == "f" and not np.isfinite(array).all():
            return [Problem(where=where, reason="The array holds values that are not finite (NaN, "
                            "infinity).")]
        return []


class _Part:
    """A part of a model, from some tensors to others, frame by frame."""

    def __init__(self, model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]):
        self._outputs = list(outputs)
        self._computed = [name for name in outputs if name not in inputs]
        self._session = None
        if self._computed:
            with quiet():
                part = onnx.utils.Extractor(model).extract_model(list(inputs), self._computed)
                self._session = session(part)
            self._kinds = {each.name: onnx.helper.tensor_dtype_to_np_dtype(
                each.type.tensor_type.elem_type) for each in part.graph.input}

    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Tensors by name, first axis frames."""
        results = {name: np.asarray(tensors[name]) for name in self._outputs if name in tensors}
        if self._session is None:
            return results
        feeds = {each.name: np.asarray(tensors[each.name]).astype(self._kinds[each.name])
                 for each in self._session.get_inputs()}
        frames = len(next(iter(feeds.values())))
        rows = [self._session.run(self._computed, {name: values[k:k + 1]
                                                   for name, values in feeds.items()})
                for k in range(frames)]
        for k, name in enumerate(self._computed):
            results[name] = np.stack([row[k].reshape(row[k].shape[1:]) if row[k].shape[:1] == (1,)
                                      else row[k] for row in rows])
        return results
