"""The operators: a spec and its component in each file."""

from .add import Add
from .concat import Concat, PadChannels
from .convolution import Convolution
from .depthwise import DepthwiseConvolution
from .global_max_pool import GlobalMaxPool
from .global_pool import GlobalAveragePool
from .multiply import Multiply
from .pad import Pad
from .plumbing import Fork, Narrow, Queue, Widen
from .pooling import AveragePool, MaxPool
from .prelu import PRelu
from .reorder import Reorder
from .resize import Upsample
from .slice import Slice
from .streamed import StreamedConvolution
from .table import Table


__all__ = ["OPERATORS", "Add", "AveragePool", "Concat", "Convolution", "DepthwiseConvolution",
           "Fork", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "Multiply", "Narrow", "PRelu",
           "Pad", "PadChannels", "Queue", "Reorder", "Slice", "StreamedConvolution", "Table",
           "Upsample", "Widen"]


# Every spec, by its name.
OPERATORS = {spec.__name__: spec for spec in (
    Add, AveragePool, Concat, Convolution, DepthwiseConvolution, Fork, GlobalAveragePool,
    GlobalMaxPool, MaxPool, Multiply, Narrow, PRelu, Pad, PadChannels, Queue, Reorder, Slice,
    StreamedConvolution, Table, Upsample, Widen)}
