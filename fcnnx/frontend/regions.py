"""Float models whose functions of one value, whatever they are made of, are one operator each.

The quantiser puts QuantizeLinear and DequantizeLinear around operators; between those of one
function of one value, as a HardSwish of four operators is, they would only cost accuracy, and a
product of activations. So each becomes a function of the model, until it is quantised.
"""

import dataclasses
from collections.abc import Collection

import onnx
import onnx.inliner

from .graph import Graph, Node


__all__ = ["DOMAIN", "HOSTED", "MOVING", "POINTWISE", "UNARY", "expand_functions",
           "make_functions"]


DOMAIN = "fcnnx"
UNARY = ("Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Selu", "Sigmoid",
         "Softplus", "Softsign", "Tanh")
POINTWISE = (*UNARY, "Add", "Clip", "Div", "Max", "Min", "Mul", "Relu", "Sub")
MOVING = ("Flatten", "Identity", "Dropout", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
HOSTED = ("Softmax", "LogSoftmax")


@dataclasses.dataclass(frozen=True)
class _Region:
    """Nodes that compute a tensor from another, element by element."""

    source: str
    nodes: tuple[Node, ...]

    @property
    def is_operator(self) -> bool:
        """Whether it is an operator as it stands, that the quantiser leaves as it is."""
        (*others, last) = self.nodes
        return not others and (last.op in UNARY or last.op in ("Relu", "Clip"))


def make_functions(model: onnx.ModelProto, graph: Graph,
                   excluded: Collection[str]) -> onnx.ModelProto:
    """The model with a function, in a domain of our own, for each function of one value.

    Parameters
    ----------
    model, graph : a float model, with shapes, whose nodes have unique names
    excluded : names of nodes that no function takes in
    """
    protos = dict(zip((node.name for node in graph.nodes), model.graph.node, strict=True))
    regions = _regions(graph, excluded)
    kept = []
    functions: list[onnx.FunctionProto] = []
    for node in graph.nodes:
        region = regions.get(node.outputs[0])
        if region is None or region.is_operator:
            kept.append(protos[node.name])
        else:
            name = f"Pointwise_{len(functions)}"
            functions.append(_function(name, model, graph, protos, region))
            kept.append(onnx.helper.make_node(name, [region.source], node.outputs[:1],
                                              name=region.nodes[0].name, domain=DOMAIN))
    needed = {each.name for each in model.graph.output}
    nodes: list[onnx.NodeProto] = []
    for proto in reversed(kept):  # what only functions used is in them now
        if needed.intersection(proto.output):
            needed.update(proto.input)
            nodes.insert(0, proto)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    if functions:
        result.functions.extend(functions)
        result.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return result


def _regions(graph: Graph, excluded: Collection[str]) -> dict[str, _Region]:
    """The region of each tensor that a function of one value makes."""
    regions: dict[str, _Region] = {}
    uses = [name for node in graph.nodes for name in node.inputs] + list(graph.outputs)
    makers = {name: node for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        given = list(dict.fromkeys(name for name in node.inputs
                                   if name and name not in graph.constants))
        if node.op not in POINTWISE or node.name in excluded or not given or any(
                graph.constants[name].size > 1 for name in node.inputs if name in graph.constants):
            continue
        if node.op in ("Relu", "Clip") and uses.count(given[0]) == 1 and (
                given[0] in makers and given[0] not in regions):
            continue  # the quantiser takes it for the range of what is before it
        sources = {regions[name].source if name in regions else name for name in given}
        if len(sources) > 1:
            continue
        nodes = dict.fromkeys(each for name in given if name in regions
                              for each in regions[name].nodes)
        regions[node.outputs[0]] = _Region(sources.pop(), (*nodes, node))
    return regions


def _function(name: str, model: onnx.ModelProto, graph: Graph,
              protos: dict[str, onnx.NodeProto], region: _Region) -> onnx.FunctionProto:
    constants = dict.fromkeys(each for node in region.nodes for each in node.inputs
                              if each in graph.constants)
    nodes = [onnx.helper.make_node("Constant", [], [each], value=onnx.numpy_helper.from_array(
        graph.constants[each])) for each in constants]
    nodes += [protos[node.name] for node in region.nodes]
    opsets = [each for each in model.opset_import if each.domain in ("", "ai.onnx")]
    return onnx.helper.make_function(DOMAIN, name, [region.source], region.nodes[-1].outputs[:1],
                                     nodes, opsets)


def expand_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the nodes of its functions in their places."""
    if not model.functions:
        return model
    expanded = onnx.inliner.inline_local_functions(model)
    imports = [each for each in expanded.opset_import if each.domain != DOMAIN]
    del expanded.opset_import[:]
    expanded.opset_import.extend(imports)
    return expanded
