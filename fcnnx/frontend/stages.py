"""The stages of a network, as the walk over its graph adds them."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from fcnnx.hdl.engine import Source, Stage
from fcnnx.hdl.operator import Constants, Operator
from fcnnx.hdl.operators.pad import Pad
from fcnnx.hdl.operators.pooling import MaxPool
from fcnnx.hdl.operators.table import Table
from fcnnx.network import Port

from .fuse import Greatest, Group
from .tensors import Given, Integers, Origin, Pointwise, Quantization, Refused


__all__ = ["Stages"]


class Stages:
    """Stages and inputs so far.

    Parameters
    ----------
    reserved : names
        That no stage may have: those of tensors that can be inputs.
    """

    def __init__(self, reserved: Iterable[str]):
        self._taken = set(reserved)
        self._stages: dict[Source, tuple[Stage, Origin]] = {}
        self._padded: dict[tuple, Origin] = {}
        self.inputs: list[Origin] = []

    def input(self, name: str, tensor: str, index: np.ndarray, signed: bool) -> Integers:
        """Integers that enter the network."""
        origin = Origin(source=Source(tensor), signed=signed, shape=index.shape, name=name,
                        tensor=tensor)
        self.inputs.append(origin)
        return Integers(origin, np.arange(index.size).reshape(index.shape))

    def stage(self, name: str, operator: Operator, integers: Iterable[Integers]) -> Origin:
        """A stage more; a name that is taken gets a number."""
        unique, count = name, 1
        while unique in self._taken:
            count += 1
            unique = f"{name}_{count}"
        self._taken.add(unique)
        sources = tuple(self.plain(each).origin.source for each in integers)
        origin = Origin(source=Source(unique), signed=operator.outputs[0].map.signed,
                        known=operator.outputs[0].map)
        self._stages[origin.source] = (
            Stage(name=unique, operator=operator, inputs=sources), origin)
        return origin

    def plain(self, integers: Integers) -> Integers:
        """With the padding made by a stage where no operator took it into its window."""
        if not any(integers.padding):
            return integers
        key = (integers.origin.source, integers.padding, integers.pad)
        if key not in self._padded:
            operator = Pad(input=integers.origin.map, padding=integers.padding,
                           value=integers.pad)
            self._padded[key] = self.stage(integers.name, operator,
                                           [Integers(integers.origin, integers.index)])
            if integers.tensor:
                self._padded[key].name_tensor(integers.tensor, integers.index)
        return Integers(self._padded[key], integers.index)

    def pool(self, name: str, integers: Integers, axes: tuple[int, int, int],
             kernel: tuple[int, int], strides: tuple[int, int],
             padding: tuple[int, int, int, int], index: np.ndarray) -> Integers:
        """Max pooling of integers; ``index`` as of the result."""
        operator = MaxPool(input=integers.as_map(axes), kernel=kernel, strides=strides,
                           padding=padding)
        return Integers(self.stage(name, operator, [integers]), index)

    def quantize(self, name: str, x: Given | Pointwise | Group | Greatest, output: Quantization,
                 tensor: str) -> Integers:
        """What QuantizeLinear makes of floats."""
        if isinstance(x, Given):
            return self.input(x.name, tensor, x.index, output.signed)
        if isinstance(x, Greatest):
            inner = self.quantize(x.name, x.inner, output, "")
            result = self.pool(x.name, inner, x.axes, x.kernel, x.strides, x.padding, x.index)
        elif isinstance(x, Group):
            result = Integers(self.stage(x.name, x.operator(output), x.integers), x.index)
        elif not x.functions and x.quantization == output:
            result = x.integers
        else:
            result = self._table(name, x, output)
        if any(result.padding):
            return dataclasses.replace(result, tensor=tensor)
        if tensor and result.origin.known is not None:
            result.origin.name_tensor(tensor, result.index)
        return result

    def _table(self, name: str, x: Pointwise, output: Quantization) -> Integers:
        x.integers.settled()
        plain = self.plain(x.integers)
        operator = Table(input=plain.map, output=output.map(*plain.map.shape),
                         values=Constants(x.table(output)))
        return Integers(self.stage(x.name or name, operator, [plain]), plain.raster())

    def finish(self, outputs: Iterable[tuple[str, Origin]]) -> tuple[
            tuple[Port, ...], tuple[Stage, ...], tuple[Port, ...], tuple[Port, ...]]:
        """Inputs, stages, outputs, and a port for each stage whose integers are a tensor.

        Parameters
        ----------
        outputs : names of the model's outputs, and where they come from
        """
        needed: set[Source] = set()
        queue = [origin.source for _, origin in outputs]
        while queue:
            source = queue.pop()
            if source not in needed and source in self._stages:
                queue += self._stages[source][0].inputs
            needed.add(source)
        kept = {source: each for source, each in self._stages.items() if source in needed}
        if not kept:
            raise Refused("there is no operator for the hardware in it.")
        layers = tuple(_port(source.name, origin) for source, (_, origin) in kept.items()
                       if origin.tensor)
        ports: dict[Source, Port] = {}
        for name, origin in outputs:
            ports.setdefault(origin.source, _port(name, origin))
        return (tuple(_port(origin.name, origin) for origin in self.inputs
                      if origin.source in needed),
                tuple(stage for stage, _ in kept.values()), tuple(ports.values()), layers)


def _port(name: str, origin: Origin) -> Port:
    assert origin.view is not None
    assert origin.tensor is not None
    shape, axes = origin.view
    source = None if origin.source.name == origin.tensor else origin.source
    return Port(name=name, tensor=origin.tensor, shape=shape, axes=axes, map=origin.map,
                source=source)
