"""The one contract between deciding and building: all that was decided, in plain data."""

import dataclasses
import functools
import hashlib
import io
import json
import pathlib
import types
import typing
import zipfile
from typing import Any, Self

import numpy as np

from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.engine import Engine, Source, SpillingEngine, Stage
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.port import MemoryPort, MemorySpill, MemoryStream, MemoryStripe
from fcnnx.hdl.operator import Constants, FeatureMap, StreamShape
from fcnnx.hdl.operators import OPERATORS
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.system import EngineMemory, FrameStream, MemorySystem, StripedStream
from fcnnx.memory import MemoryTiming
from fcnnx.network import Port
from fcnnx.schedule import PortSchedule, Schedule, StreamSchedule


__all__ = ["FILE", "WEIGHTS", "FrontPoint", "NetworkPlan", "Plan", "StagePlan"]


VERSION = 2
NOTHING = Resources()
FILE, WEIGHTS = "plan.json", "weights.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagePlan:
    """What is expected of one stage of an engine.

    Parameters
    ----------
    name : :class:`str`
        As in the engine.
    operation : :class:`str`
        Name of its spec.
    interval_cycles : :class:`int`
        Cycles per frame that it needs, without waiting.
    stall_share : :class:`float`
        Share of the network's interval in which it waits.
    macs, multipliers : :class:`int`
    resources : :class:`Resources`
    """

    name: str
    operation: str
    interval_cycles: int
    stall_share: float
    macs: int
    multipliers: int
    resources: Resources


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """What a network could take, and how fast it would then be; queues at joins not yet sized.

    Parameters
    ----------
    interval_cycles : :class:`int`
    resources : :class:`Resources`
    """

    interval_cycles: int
    resources: Resources


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """What is expected of one network, and wanted of it.

    Parameters
    ----------
    name : :class:`str`
        That of its engine.
    inputs, outputs : tuples of :class:`Port`
        In the engine's order; the engine names them by :attr:`Port.tensor`.
    macs : :class:`int`
        Multiply-accumulates of a frame.
    multipliers : :class:`int`
        Products that the engine makes in a cycle for them.
    interval_cycles, latency_cycles : :class:`int`
        Predicted to the cycle.
    alone_cycles : :class:`int`
        Its interval where the whole device is planned for it alone, under the same constraints.
    weight : :class:`float`
    target_fps, target_latency_ms : :class:`float` or None
    bottleneck : :class:`str`
        The stage that waits least.
    stages : tuple of :class:`StagePlan`
        In the engine's order, forks, queues and width converters included.
    resources : :class:`Resources`
        Of the whole engine.
    warnings : tuple of :class:`str`
    front : tuple of :class:`FrontPoint`
        What could have been chosen, the slowest first: not what was decided, and not stored.
    faster : :class:`FrontPoint` or None
        The next faster foldings, as far as they are known; likewise.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    macs: int
    multipliers: int
    interval_cycles: int
    latency_cycles: int
    alone_cycles: int
    weight: float
    target_fps: float | None
    target_latency_ms: float | None
    bottleneck: str
    stages: tuple[StagePlan, ...]
    resources: Resources
    warnings: tuple[str, ...]
    front: tuple[FrontPoint, ...] = dataclasses.field(default=(), compare=False)
    faster: FrontPoint | None = dataclasses.field(default=None, compare=False)

    def frames_per_second(self, clock_mhz: float) -> float:
        """At a clock, one frame after the other."""
        return clock_mhz * 1e6 / self.interval_cycles

    @property
    def progress(self) -> float:
        """T_alone / T_shared."""
        return self.alone_cycles / self.interval_cycles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """All that was decided for one accelerator.

    Parameters
    ----------
    board : :class:`str`
    device : :class:`Device`
    clock_mhz : :class:`float`
    budget : :class:`Resources`
        After caps and headroom.
    accelerator : :class:`Accelerator`
        What is built.
    networks : tuple of :class:`NetworkPlan`
        In the order of the accelerator's engines.
    objective : :class:`str`
    gap : :class:`float`
        Proven distance of the combination of networks to the best, as a share.
    memory : :class:`MemoryTiming` or None
        What is known of the memory that the accelerator reaches, if it does.
    schedule : :class:`Schedule` or None
        How its ports serve their streams.
    memory_resources : :class:`Resources`
        What all between the engines and the memory takes.
    warnings : tuple of :class:`str`
        Of no single network.
    seconds : :class:`float`
        That planning took: not part of what was decided, and not stored.
    """

    board: str
    device: Device
    clock_mhz: float
    budget: Resources
    accelerator: Accelerator
    networks: tuple[NetworkPlan, ...]
    objective: str
    gap: float
    memory: MemoryTiming | None = None
    schedule: Schedule | None = None
    memory_resources: Resources = NOTHING
    warnings: tuple[str, ...] = ()
    seconds: float = dataclasses.field(default=0.0, compare=False)

    @property
    def resources(self) -> Resources:
        """Of all networks, and of what they share."""
        return sum((network.resources for network in self.networks), self.memory_resources)

    @functools.cached_property
    def digest(self) -> str:
        """Of all that is decided, weights included: 64 hexadecimal digits."""
        return _digest(_encode(self, {}))

    def save(self, folder: pathlib.Path) -> None:
        """Write plan.json and weights.npz: the same bytes for the same plan."""
        constants: dict[str, Constants] = {}
        body = _encode(self, constants)
        document = {"version": VERSION, "digest": _digest(body), "plan": body}
        text = json.dumps(document, indent=1, allow_nan=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")
        (folder / WEIGHTS).write_bytes(_pack(constants))

    @classmethod
    def load(cls, folder: pathlib.Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        BadInput
            If a file is missing, is none of ours, was edited, or is of another version.
        """
        body = _read_document(folder / FILE)
        constants = _read_constants(folder / WEIGHTS)
        try:
            plan = _decode(body, constants)
        except KeyError as error:
            raise _bad(folder / WEIGHTS, f"The weights {error.args[0]} are missing.") from None
        except (TypeError, ValueError) as error:
            raise _bad(folder / FILE, f"The plan does not hold together: {error}.") from None
        if not isinstance(plan, cls):
            raise _bad(folder / FILE, "This is not a plan.")
        return plan


TYPES: dict[str, type] = OPERATORS | {each.__name__: each for each in (
    Accelerator, Axi, Device, Engine, EngineMemory, FeatureMap, FrameStream, MemoryPort,
    MemorySpill, MemoryStream, MemoryStripe, MemorySystem, MemoryTiming, NetworkPlan, Plan, Port,
    PortSchedule, Requantization, Resources, Schedule, Source, SpillingEngine, Stage, StagePlan,
    StreamSchedule, StreamShape, StripedStream)}
UNSTORED = {"seconds", "front", "faster", "needed", "waits"}


def _encode(value: Any, constants: dict[str, Constants]) -> Any:
    """Plain JSON; arrays are left in ``constants``, and named by their digest."""
    if isinstance(value, Constants):
        constants[value.digest] = value
        return {"constants": value.digest}
    if dataclasses.is_dataclass(value):
        kind = type(value)
        assert TYPES.get(kind.__name__) is kind, f"{kind.__name__} is none of the plan's types"
        return {"type": kind.__name__} | {
            field.name: _encode(getattr(value, field.name), constants)
            for field in dataclasses.fields(value) if field.name not in UNSTORED}
    if isinstance(value, tuple):
        return [_encode(each, constants) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    assert value is None or isinstance(value, str | int | float), repr(value)
    return value


def _decode(value: Any, constants: dict[str, Constants]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(each, constants) for each in value)
    if not isinstance(value, dict):
        return value
    if "constants" in value:
        return constants[value["constants"]]
    kind = TYPES.get(value.get("type", ""))
    if kind is None:
        raise ValueError(f"there is no type {value.get('type')!r}")
    fields = {name: _decode(each, constants) for name, each in value.items() if name != "type"}
    made = kind(**fields)
    for name, hint in _hints(kind).items():
        if name in fields and not _fits(fields[name], hint):
            raise TypeError(f"{name} of {kind.__name__} cannot be {fields[name]!r}")
    return made


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a field's value has the type that it is declared with, as far as that can be told."""
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return isinstance(value, tuple) and all(_fits(each, arguments[0]) for each in value)
        return (isinstance(value, tuple) and len(value) == len(arguments)
                and all(map(_fits, value, arguments)))
    if hint is float:
        return isinstance(value, int | float)
    if isinstance(hint, type) and not getattr(hint, "_is_protocol", False):
        return isinstance(value, hint)
    return True


def _digest(body: Any) -> str:
    text = json.dumps(body, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return hashlib.sha256(f"{VERSION}{text}".encode()).hexdigest()


def _pack(constants: dict[str, Constants]) -> bytes:
    """An npz file without times, so that the same values are the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for digest in sorted(constants):
            values = constants[digest].values
            array = io.BytesIO()
            np.lib.format.write_array(array, _smallest(values), allow_pickle=False)
            info = zipfile.ZipInfo(f"{digest}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, array.getvalue())
    return packed.getvalue()


def _smallest(values: np.ndarray) -> np.ndarray:
    """The same in the smallest signed type."""
    for kind in (np.int8, np.int16, np.int32):
        limits = np.iinfo(kind)
        if not values.size or (values.min() >= limits.min and values.max() <= limits.max):
            return values.astype(kind)
    return values


def _bad(path: pathlib.Path, reason: str) -> BadInput:
    return BadInput(Problem(where=str(path), reason=reason, remedy="Build anew."))


def _read_document(path: pathlib.Path) -> Any:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _bad(path, "There is no such file: this is no build, or a part of it is gone."
                   ) from None
    except OSError as error:
        raise _bad(path, f"The file cannot be read: {error.strerror or error}.") from None
    except ValueError:
        raise _bad(path, "The file was edited, or is damaged: it is not JSON.") from None
    if not isinstance(document, dict) or "plan" not in document:
        raise _bad(path, "This is not a plan.")
    if document.get("version") != VERSION:
        raise _bad(path, f"The plan is of version {document.get('version')!r}, "
                   f"and this is made for version {VERSION}.")
    if document.get("digest") != _digest(document["plan"]):
        raise _bad(path, "The file was edited: its digest is another.")
    return document["plan"]


def _read_constants(path: pathlib.Path) -> dict[str, Constants]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise _bad(path, "There is no such file: this is no build, or a part of it is gone."
                   ) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError):
        raise _bad(path, "The file was edited, or is damaged.") from None
    constants = {}
    for digest, values in arrays.items():
        if values.dtype.kind != "i" or Constants(values).digest != digest:
            raise _bad(path, f"The file was edited: the values of {digest} are others.")
        constants[digest] = Constants(values)
    return constants
