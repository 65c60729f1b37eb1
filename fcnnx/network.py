"""A trained network as a graph of integer operators; computing it is the golden model."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from fcnnx.hdl.engine import Source, Stage, run_stages
from fcnnx.hdl.operator import FeatureMap


__all__ = ["Network", "Port"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output of a network, and the tensor of the quantised model that it is.

    Parameters
    ----------
    name : :class:`str`
        The model's own input or output; where several outputs are computed by the host from one
        tensor, the first of them.
    tensor : :class:`str`
        Tensor of the quantised ONNX model whose integers cross the port.
    shape, axes : tuples of :class:`int`
        Reshaping one frame of the tensor to ``shape`` and transposing it by ``axes`` gives
        (rows, columns, channels).
    map : :class:`FeatureMap`
    source : :class:`Source` or None
        Of an output: what feeds it.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    map: FeatureMap
    source: Source | None = None

    def to_map(self, tensor: np.ndarray) -> np.ndarray:
        """Frames of the tensor, first axis frames, as (frames, rows, columns, channels)."""
        frames = np.asarray(tensor).reshape(len(tensor), *self.shape)
        return frames.transpose(0, *(1 + axis for axis in self.axes)).astype(np.int64)

    def from_map(self, values: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_map`, each frame in ``shape``."""
        return values.transpose(0, *(1 + int(axis) for axis in np.argsort(self.axes)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """Integer operators at their smallest folding; a tensor may have several consumers.

    Parameters
    ----------
    name : :class:`str`
        Letters, digits, underscores.
    inputs, outputs : tuples of :class:`Port`
        Stages name inputs by :attr:`Port.tensor`.
    stages : tuple of :class:`Stage`
        In topological order. Names are those of ONNX nodes.
    warnings : tuple of :class:`str`
        What a user should know: host-side operators, accuracy that means nothing.
    """

    name: str
    inputs: tuple[Port, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[Port, ...]
    warnings: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a frame."""
        return sum(stage.operator.macs for stage in self.stages)

    def compute(self, inputs: Mapping[str, np.ndarray],
                layers: Iterable[str] = ()) -> dict[str, np.ndarray]:
        """The golden model: integers, exact.

        Parameters
        ----------
        inputs : arrays, shape (frames, rows, columns, channels), by :attr:`Port.tensor`
        layers : names of stages whose output is wanted as well

        Returns
        -------
        Outputs by :attr:`Port.tensor`, and the layers by name, in the same form.
        """
        values = {Source(name): x for name, x in inputs.items()}
        for stage, results in run_stages(self.stages, inputs):
            values |= {Source(stage.name, k): y for k, y in enumerate(results)}
        return ({layer: values[Source(layer)] for layer in layers}
                | {port.tensor: values[port.source] for port in self.outputs if port.source})
