"""The stages of a network, as the walk over its graph adds them."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from fcnnx.hdl.engine import Source, Stage
from fcnnx.hdl.operator import Constants, FeatureMap, Operator
from fcnnx.hdl.operators.concat import Concat, PadChannels
from fcnnx.hdl.operators.global_max_pool import GlobalMaxPool
from fcnnx.hdl.operators.pad import Pad
from fcnnx.hdl.operators.pooling import MaxPool
from fcnnx.hdl.operators.resize import Upsample
from fcnnx.hdl.operators.slice import Slice
from fcnnx.hdl.operators.table import Table
from fcnnx.network import Port

from .fuse import Greatest, Group, Joined, Padded, Products, Windows
from .tensors import NCHW, Given, Integers, Origin, Pointwise, Quantization, Refused


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

    def leaving(self, integers: Integers) -> Origin:
        """Where integers that leave the network come from: an input goes through a stage."""
        integers.settled()
        origin = self.plain(integers).origin
        if origin not in self.inputs:
            return origin
        values = Constants(np.arange(origin.map.low, origin.map.high + 1))
        operator = Table(input=origin.map, output=origin.map, values=values)
        through = self.stage(f"{origin.name}_through", operator, [integers])
        through.view, through.tensor, through.shape = origin.view, origin.tensor, origin.shape
        return through

    def pool(self, name: str, integers: Integers, windows: Windows | None,
             index: np.ndarray) -> Integers:
        """Max pooling of integers of the shape (1, channels, rows, columns), over the whole map
        where there are no windows; ``index`` as of the result."""
        given = integers.as_map(NCHW)
        operator: Operator = GlobalMaxPool(input=given) if windows is None else \
            MaxPool(input=given, **windows.parameters)
        return Integers(self.stage(name, operator, [integers]), index)

    def cut(self, name: str, integers: Integers, index: np.ndarray) -> Integers:
        """Some of the rows, columns and channels of integers.

        Parameters
        ----------
        index : integers
            Those of the tensor's index that stay.
        """
        given = integers.settled()
        plain = self.plain(integers)
        places = dataclasses.replace(integers, index=index).raster()
        parts = [np.unique(part) for part in np.unravel_index(places, given.shape)]
        steps = [int(part[1] - part[0]) if len(part) > 1 else 1 for part in parts]
        kept = FeatureMap(rows=len(parts[0]), columns=len(parts[1]), channels=len(parts[2]))
        if kept.size != index.size or steps[2] != 1 or any(
                (np.diff(part) != step).any() for part, step in zip(parts, steps, strict=True)):
            raise Refused("what it leaves is not a range of rows, columns and channels.")
        ranges = [(int(part[0]), int(part[-1]) + 1) for part in parts]
        origin = plain.origin
        if any((start, stop) != (0, size) for (start, stop), size in zip(ranges, given.shape,
                                                                         strict=True)):
            cut = Slice(input=given, rows=ranges[0], columns=ranges[1], channels=ranges[2])
            origin = self.stage(name, cut, [plain])
        if max(steps) > 1:
            picked = MaxPool(input=origin.map, kernel=(1, 1), strides=(steps[0], steps[1]))
            origin = self.stage(name, picked, [Integers(origin, index)])
        of = np.zeros(given.size, np.int64)
        of[np.ravel_multi_index(np.ix_(*parts), given.shape).ravel()] = np.arange(kept.size)
        return Integers(origin, of[places])

    def upsample(self, name: str, integers: Integers, factors: tuple[int, int],
                 index: np.ndarray) -> Integers:
        """Pixels repeated; of integers as in :meth:`pool`."""
        operator = Upsample(input=integers.as_map(NCHW), factors=factors)
        return Integers(self.stage(name, operator, [integers]), index)

    def quantize(self, name: str, x: Any, output: Quantization, tensor: str) -> Integers:
        """What QuantizeLinear makes of floats: :class:`Given`, :class:`Pointwise`, a group."""
        if isinstance(x, Given):
            return self.input(x.name, tensor, x.index, output.signed)
        if isinstance(x, Greatest):
            inner = self.quantize(x.name, x.inner, output, "")
            result = self.pool(x.name, inner, x.windows, x.index)
        elif isinstance(x, Joined):
            result = self._joined(x, output)
        elif isinstance(x, Padded):
            inner = self.plain(self.quantize(x.name, x.x, output, ""))
            result = dataclasses.replace(inner, index=x.index, padding=x.padding, name=x.name,
                                         pad=int(output.quantize(x.value)))
        elif isinstance(x, Products) and x.groups > 1:
            result = Integers(self._grouped(x, output), x.index)
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

    def _grouped(self, x: Products, output: Quantization) -> Origin:
        """A convolution in groups: a slice and a convolution for each, side by side again."""
        given = self.plain(x.x.integers)
        results = []
        for k, part in enumerate(x.parts()):
            first = k * part.input.channels
            cut = Slice(input=x.input, rows=(0, x.input.rows), columns=(0, x.input.columns),
                        channels=(first, first + part.input.channels))
            origin = self.stage(f"{x.name}_slice", cut, [given])
            results.append(Integers(self.stage(f"{x.name}_group", part.operator(output), [
                Integers(origin, np.arange(part.input.size))]), x.index))
        return self.stage(x.name, Concat(operands=tuple(each.map for each in results)), results)

    def _joined(self, x: Joined, output: Quantization) -> Integers:
        none = np.zeros(0, np.int64)
        leading = none
        parts: list[tuple[np.ndarray, Integers, np.ndarray]] = []  # constants go with activations
        for term in x.terms:
            if isinstance(term, Pointwise):
                integers = self.plain(self.quantize(x.name, term, output, ""))
                parts.append((leading, integers, none))
                leading = none
            elif parts:
                before, integers, after = parts[-1]
                parts[-1] = (before, integers, np.concatenate([after, output.quantize(term)]))
            else:
                leading = np.concatenate([leading, output.quantize(term)])
        maps = [self._with_constants(x.name, *part) for part in parts]
        if len(maps) == 1:
            return Integers(maps[0].origin, x.index)
        operator = Concat(operands=tuple(each.map for each in maps))
        return Integers(self.stage(x.name, operator, maps), x.index)

    def _with_constants(self, name: str, before: np.ndarray, integers: Integers,
                        after: np.ndarray) -> Integers:
        """With constant channels before and after."""
        if not len(before) + len(after):
            return integers
        operator = PadChannels(input=integers.map, before=Constants(before),
                               after=Constants(after))
        return Integers(self.stage(name, operator, [integers]), integers.index)

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
