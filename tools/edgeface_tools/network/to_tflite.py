"""From a network as data to a float32 TFLite file.

Takes in a `Graph`, hands on the bytes of a bare flatbuffer that maps one picture to one
embedding. It is written directly with the schema's classes, so the bytes depend only on the network
and no TensorFlow is needed. A ReLU is fused into the operator before it where that has no other
reader; the arithmetic is never changed.
"""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgeface_tools.network import graph
from edgeface_tools.network.rewrite import drop_identities
from edgeface_tools.tflite.flatbuffer import pack

INPUT, OUTPUT = "picture", "embedding"

_PADDINGS: dict[graph.Padding, int] = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
_POOLS = {"max": "MAX_POOL_2D", "average": "AVERAGE_POOL_2D"}
_FUSES_RELU = (
    graph.Convolution,
    graph.Depthwise,
    graph.Dense,
    graph.Add,
    graph.Multiply,
)

_Form = tuple[str, Any, list[int]]
"""Operator code, options and inputs."""


def float_tflite(network: graph.Graph) -> bytes:
    """The network as a float32 TFLite flatbuffer with the signature `serving_default`."""
    network = drop_identities(network)
    writer = _Writer(network)
    for node in network.nodes:
        writer.add(node)
    return pack(writer.model())


class _Writer:
    """Collects the flatbuffer's tensors and operators, node by node."""

    def __init__(self, network: graph.Graph) -> None:
        self._network = network
        self._codes: dict[int, int] = {}
        self._operators: list[Any] = []
        self._tensors: list[Any] = []
        self._buffers = [schema.BufferT()]  # buffer 0 means: computed at run time
        self._values = {network.input_name: self._computed(INPUT, network.input_shape)}

    def add(self, node: graph.Node) -> None:
        """Write one node, after its inputs."""
        if isinstance(node.operation, graph.Relu) and self._relu_of(node.inputs[0]) is node:
            self._values[node.name] = self._values[node.inputs[0]]
            return
        inputs = [self._values[name] for name in node.inputs]
        code, options, inputs = self._form(node.operation, node.name, inputs)
        relu = self._relu_of(node.name)
        if relu is not None:
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        name = relu.name if relu is not None else node.name
        name = OUTPUT if name == self._network.output_name else name
        shape = self._network.shapes[node.name]
        self._values[node.name] = self._operator(code, options, inputs, name, shape)

    @singledispatchmethod
    def _form(self, operation: graph.Operation, name: str, inputs: list[int]) -> _Form:
        """An operation's operator code, options and inputs; writes its weights."""
        raise TypeError(f"no TFLite form for {operation!r}")

    @_form.register
    def _(self, operation: graph.Convolution, name: str, inputs: list[int]) -> _Form:
        kernel = self._constant(f"{name}/weights", operation.kernel.transpose(3, 0, 1, 2))
        bias = self._constant(f"{name}/bias", operation.bias)
        options = schema.Conv2DOptionsT()
        options.padding = _PADDINGS[operation.padding]
        options.strideH, options.strideW = operation.strides
        return "CONV_2D", options, [*inputs, kernel, bias]

    @_form.register
    def _(self, operation: graph.Depthwise, name: str, inputs: list[int]) -> _Form:
        kernel = self._constant(f"{name}/weights", operation.kernel[None])
        bias = self._constant(f"{name}/bias", operation.bias)
        options = schema.DepthwiseConv2DOptionsT()
        options.padding = _PADDINGS[operation.padding]
        options.strideH, options.strideW = operation.strides
        options.depthMultiplier = operation.multiplier
        return "DEPTHWISE_CONV_2D", options, [*inputs, kernel, bias]

    @_form.register
    def _(self, operation: graph.Dense, name: str, inputs: list[int]) -> _Form:
        kernel = self._constant(f"{name}/weights", operation.kernel.T)
        bias = self._constant(f"{name}/bias", operation.bias)
        return "FULLY_CONNECTED", schema.FullyConnectedOptionsT(), [*inputs, kernel, bias]

    @_form.register
    def _(self, operation: graph.Add, name: str, inputs: list[int]) -> _Form:
        first, second = inputs
        if operation.scale != 1.0:
            second = self._times(f"{name}/scaled", second, np.float32(operation.scale))
        return "ADD", schema.AddOptionsT(), [first, second]

    @_form.register
    def _(self, operation: graph.BatchNorm, name: str, inputs: list[int]) -> _Form:
        factor = operation.gamma / np.sqrt(operation.variance + operation.epsilon)
        shift = operation.beta - operation.mean * factor
        product = self._times(f"{name}/scaled", inputs[0], factor)
        return "ADD", schema.AddOptionsT(), [product, self._constant(f"{name}/shift", shift)]

    @_form.register
    def _(self, operation: graph.Scale, name: str, inputs: list[int]) -> _Form:
        product = self._times(f"{name}/scaled", inputs[0], np.float32(operation.factor))
        shift = self._constant(f"{name}/shift", np.float32(operation.shift))
        return "ADD", schema.AddOptionsT(), [product, shift]

    @_form.register
    def _(self, operation: graph.Multiply, name: str, inputs: list[int]) -> _Form:
        factor = self._constant(f"{name}/factor", operation.factor)
        return "MUL", schema.MulOptionsT(), [*inputs, factor]

    @_form.register
    def _(self, operation: graph.Pad, name: str, inputs: list[int]) -> _Form:
        sides = np.array([(0, 0), operation.vertical, operation.horizontal, (0, 0)], np.int32)
        return "PAD", schema.PadOptionsT(), [*inputs, self._constant(f"{name}/sides", sides)]

    @_form.register
    def _(self, operation: graph.Flatten, name: str, inputs: list[int]) -> _Form:
        shape = np.array([1, *self._network.shapes[name]], np.int32)
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        return "RESHAPE", options, [*inputs, self._constant(f"{name}/shape", shape)]

    @_form.register
    def _(self, operation: graph.Pool, name: str, inputs: list[int]) -> _Form:
        options = schema.Pool2DOptionsT()
        options.padding = _PADDINGS[operation.padding]
        options.filterHeight, options.filterWidth = operation.size
        options.strideH, options.strideW = operation.strides
        return _POOLS[operation.kind], options, inputs

    @_form.register
    def _(self, operation: graph.GlobalAverage, name: str, inputs: list[int]) -> _Form:
        axes = self._constant(f"{name}/axes", np.array([1, 2], np.int32))
        return "MEAN", schema.ReducerOptionsT(), [*inputs, axes]

    @_form.register
    def _(self, operation: graph.Concatenate, name: str, inputs: list[int]) -> _Form:
        options = schema.ConcatenationOptionsT()
        options.axis = len(self._network.shapes[name])
        return "CONCATENATION", options, inputs

    @_form.register
    def _(self, operation: graph.Relu, name: str, inputs: list[int]) -> _Form:
        return "RELU", None, inputs

    def model(self) -> Any:
        """The finished ModelT."""
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs = [self._values[self._network.input_name]]
        subgraph.outputs = [self._values[self._network.output_name]]
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs = [_named(INPUT, subgraph.inputs[0])]
        signature.outputs = [_named(OUTPUT, subgraph.outputs[0])]
        model = schema.ModelT()
        model.version = 3
        model.description = "written by EdgeFace convert-model"
        model.subgraphs, model.buffers, model.signatureDefs = [subgraph], self._buffers, [signature]
        model.operatorCodes = []
        for number in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = number, number, 1
            model.operatorCodes.append(code)
        return model

    def _relu_of(self, name: str) -> graph.Node | None:
        """The ReLU to fuse into a node: its only reader, if the node's kind allows fusing."""
        node, readers = self._network.producer(name), self._network.consumers(name)
        if node is None or name == self._network.output_name or len(readers) != 1:
            return None
        fusible = isinstance(node.operation, _FUSES_RELU) and isinstance(
            readers[0].operation, graph.Relu
        )
        return readers[0] if fusible else None

    def _times(self, name: str, value: int, factor: NDArray[Any] | np.float32) -> int:
        shape = tuple(self._tensors[value].shape[1:])
        inputs = [value, self._constant(f"{name}/factor", factor)]
        return self._operator("MUL", schema.MulOptionsT(), inputs, name, shape)

    def _operator(
        self, code: str, options: Any, inputs: list[int], name: str, shape: tuple[int, ...]
    ) -> int:
        number = getattr(schema.BuiltinOperator, code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(number, len(self._codes))
        operator.inputs, operator.outputs = inputs, [self._computed(name, shape)]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)
        return int(operator.outputs[0])

    def _computed(self, name: str, shape: tuple[int, ...]) -> int:
        return self._tensor(name, (1, *shape), schema.TensorType.FLOAT32, 0)

    def _constant(self, name: str, values: NDArray[Any] | np.float32) -> int:
        values = np.asarray(values)
        integers = values.dtype == np.int32
        kind = schema.TensorType.INT32 if integers else schema.TensorType.FLOAT32
        content = np.ascontiguousarray(values, np.int32 if integers else np.float32)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content.tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._tensor(name, values.shape, kind, len(self._buffers) - 1)

    def _tensor(self, name: str, shape: tuple[int, ...], kind: int, buffer: int) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
        self._tensors.append(tensor)
        return len(self._tensors) - 1


def _named(name: str, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry
