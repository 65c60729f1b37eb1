"""Functions of single elements, and of two, of ONNX."""

import dataclasses
from typing import Any

import numpy as np

from fcnnx.hdl.operator import FeatureMap

from .evaluate import elementwise
from .fuse import Factors, Greatest, Group, Joined, Products, Slopes, Sums, Windows
from .operands import Context, floats, is_constant, per_channel, planar, pointwise, quantized
from .tensors import NCHW, Pointwise, Quantization, Refused


__all__ = ["add", "batch_normalization", "clip", "div", "function", "leaky_relu", "maximum",
           "minimum", "mul", "prelu", "relu", "sub"]


def function(context: Context, x: Any) -> Pointwise:
    """Any function of one value."""
    x = pointwise(x)
    return x.then(context.node, elementwise(context.node, context.opset, {}))


def _split(inputs: tuple) -> tuple[list[Any], list[np.ndarray]]:
    """Activations, and the values of constants."""
    return ([each for each in inputs if not is_constant(each)],
            [floats(each) for each in inputs if is_constant(each)])


def _whole(x: Any) -> bool:
    """Whether no Relu or Clip has limited the floats of a group."""
    return bool(np.isinf([x.low, x.high]).all())


def _single(context: Context, x: Any, constant: np.ndarray) -> Pointwise | None:
    """The function of one value that an operator with a constant is, if it is one value."""
    if constant.size != 1 or constant.ndim > x.index.ndim or not isinstance(x, Pointwise):
        return None
    node = context.node
    (name,) = {name for name in node.inputs if name in context.constants}
    constants = {name: constant.astype(np.float32).reshape(())}
    return x.then(node, elementwise(node, context.opset, constants))


def _of_one(context: Context, activations: list[Any]) -> Pointwise | None:
    """The function of one value that an operator of two activations is, if these are functions of
    one value."""
    if len(activations) != 2 or not all(isinstance(each, Pointwise) for each in activations):
        return None
    first, second = activations
    if not first.alike(second):
        return None
    return first.joined(second, context.node, elementwise(context.node, context.opset, {}))


def _clipped(context: Context, x: Any, low: float, high: float) -> Any:
    if isinstance(x, (Pointwise, Joined)):
        bounds = np.float32(low), np.float32(high)
        return x.then(context.node, lambda x: np.clip(x, *bounds))
    if isinstance(x, Group):
        return x.clip(low, high)
    if isinstance(x, Greatest):
        return dataclasses.replace(x, inner=_clipped(context, x.inner, low, high))
    return quantized(x)


def relu(context: Context, x: Any) -> Any:
    return _clipped(context, x, 0.0, np.inf)


def clip(context: Context, x: Any, low: Any = None, high: Any = None) -> Any:
    if not all(each is None or is_constant(each) for each in (low, high)):
        raise Refused("its bounds are not constant.")
    low = -np.inf if low is None else float(floats(low).item())
    high = np.inf if high is None else float(floats(high).item())
    return _clipped(context, x, low, high)


def _bounded(context: Context, inputs: tuple, *, above: bool) -> Any:
    """The greatest, or least, of an activation and single values."""
    activations, constants = _split(inputs)
    if len(activations) != 1:
        result = _of_one(context, activations) if not constants else None
        if result is None:
            raise Refused("it compares several activations.", "Compare one with constants.")
        return result
    (x,) = activations
    for constant in constants:
        if constant.size != 1 or constant.ndim > x.index.ndim:
            raise Refused("its constant is not a single value.")
        bound = float(constant.item())
        x = _clipped(context, x, *((-np.inf, bound) if above else (bound, np.inf)))
    return x


def maximum(context: Context, *inputs: Any) -> Any:
    return _bounded(context, inputs, above=False)


def minimum(context: Context, *inputs: Any) -> Any:
    return _bounded(context, inputs, above=True)


def _leaky(context: Context, x: Any, slope: np.float32) -> Any:
    return pointwise(x).then(context.node, lambda x: np.where(x >= 0, x, x * slope))


def leaky_relu(context: Context, x: Any) -> Any:
    return _leaky(context, x, np.float32(context.attribute("alpha", 0.01)))


def prelu(context: Context, x: Any, slope: Any) -> Any:
    if not is_constant(slope):
        raise Refused("its slopes are not constant.")
    slopes = floats(slope)
    if slopes.size == 1:
        return _leaky(context, x, np.float32(slopes.ravel()[0]))
    x = quantized(x)
    given = x.integers.settled()
    index = x.integers.raster()
    values = per_channel(slopes, index, given.channels)
    if (values == values[0]).all():
        return _leaky(context, x, np.float32(values[0]))
    return Slopes(name=context.node.name, index=index, x=x, input=given, slopes=values)


def add(context: Context, *inputs: Any) -> Any:
    activations, constants = _split(inputs)
    if len(activations) > 1:
        if constants:
            raise Refused("it adds a constant to a sum of activations.", "Add it before.")
        together = _of_one(context, activations)
        if together is not None:
            return together
        terms: list[Pointwise] = []
        for each in activations:
            terms += each.terms if isinstance(each, Sums) and _whole(each) else [quantized(each)]
        return _sum(context, terms)
    (x,) = activations
    for constant in constants:
        x = _offset(context, x, constant, 1)
    return x


def sub(context: Context, a: Any, b: Any) -> Any:
    if is_constant(b):
        return _offset(context, a, floats(b), -1)
    if is_constant(a):
        single = _single(context, b, floats(a))
        if single is None:
            raise Refused("it subtracts activations from a constant that is not a single value.")
        return single
    together = _of_one(context, [a, b])
    return together or _sum(context, [quantized(a), _negative(context, quantized(b))])


def _negative(context: Context, x: Pointwise) -> Pointwise:
    """The negative values: each integer is mirrored, so that nothing is lost."""
    given = x.quantization
    mirrored = Quantization(given.scale, given.low + given.high - given.zero, given.signed)
    negative = x.then(context.node, np.negative)
    return Pointwise(context.stages.quantize(context.node.name, negative, mirrored, ""), mirrored)


def _offset(context: Context, x: Any, constant: np.ndarray, sign: int) -> Any:
    if isinstance(x, Products) and _whole(x):
        return x.add(sign * per_channel(constant, x.index, len(x.weights)))
    single = _single(context, x, constant)
    if single is None:
        raise Refused(f"its constant of shape {list(constant.shape)} meets activations that no "
                      "Conv, Gemm or MatMul has just made.",
                      "Put it right behind one, or use a single value.")
    return single


def mul(context: Context, *inputs: Any) -> Any:
    activations, constants = _split(inputs)
    if constants:
        (x,) = activations
        single = _single(context, x, constants[0])
        return single or _scaled(context, quantized(x), constants[0])
    return _of_one(context, activations) or _product(context, *map(quantized, activations))


def div(context: Context, a: Any, b: Any) -> Any:
    if is_constant(b):
        single = _single(context, a, floats(b))
        return single or _scaled(context, quantized(a), 1 / floats(b).astype(np.float64))
    if is_constant(a):
        single = _single(context, b, floats(a))
        if single is None:
            raise Refused("it divides a constant that is not a single value.")
        return single
    together = _of_one(context, [a, b])
    if together is None:
        raise Refused("it divides activations by activations.", "Divide by a constant.")
    return together


def _scaled(context: Context, x: Pointwise, constant: np.ndarray) -> Products:
    """Channels times constants: a depthwise convolution whose weights are their signs."""
    given = x.integers.settled()
    index = x.integers.raster()
    factors = per_channel(constant, index, given.channels)
    signs = np.where(factors < 0, -1, 1).reshape(-1, 1, 1)
    return Products(name=context.node.name, index=index, x=x, input=given,
                    windows=Windows(kernel=(1, 1)), weights=signs, scales=np.abs(factors),
                    bias=np.zeros(given.channels), rows=given.rows, columns=given.columns)


def _product(context: Context, a: Pointwise, b: Pointwise) -> Factors:
    if a.index.shape == b.index.shape:
        maps, index = _aligned([a, b], "multiplies")
        return Factors(name=context.node.name, index=index, terms=(a, b), maps=(maps[0], maps[1]))
    if a.index.size < b.index.size:
        a, b = b, a
    if a.index.ndim != b.index.ndim or a.index.shape[:2] != b.index.shape[:2] or \
            b.index.size != b.index.shape[1]:
        raise Refused("it multiplies activations of the shapes "
                      f"{list(a.index.shape)} and {list(b.index.shape)}.",
                      "The second may have a single pixel, of as many channels.")
    maps = tuple(planar(each).integers.as_map(NCHW) for each in (a, b))
    return Factors(name=context.node.name, index=a.integers.raster(), terms=(a, b),
                   maps=(maps[0], maps[1]))


def _sum(context: Context, terms: list[Pointwise]) -> Sums:
    maps, index = _aligned(terms, "adds")
    return Sums(name=context.node.name, index=index, terms=tuple(terms), maps=maps)


def _aligned(terms: list[Pointwise], does: str) -> tuple[tuple[FeatureMap, ...], np.ndarray]:
    """The maps of activations of one size, and the index of their common raster."""
    if len({term.index.shape for term in terms}) > 1:
        raise Refused(f"it {does} activations of different shapes: "
                      f"{', '.join(str(list(term.index.shape)) for term in terms)}.")
    settled = [term for term in terms if term.integers.origin.known is not None]
    if settled:
        index, shape = settled[0].integers.raster(), settled[0].integers.map.shape
        for term in terms:
            if term.integers.origin.known is None:
                places = np.empty(index.size, np.int64)
                places[index.ravel()] = term.index.ravel()
                term.integers.origin.settle(places.reshape(shape))
    maps = tuple(term.integers.settled() for term in terms)
    index = terms[0].integers.raster()
    if len({each.shape for each in maps}) > 1 or any(
            not np.array_equal(term.integers.raster(), index) for term in terms):
        raise Refused(f"it {does} activations whose rows, columns and channels come in different "
                      "orders.", "Transpose them alike.")
    return maps, index


def batch_normalization(context: Context, *inputs: Any) -> Any:
    raise Refused("its parameters are not constant, or the model is quantised.",
                  "Fold it into the weights before quantising.")
