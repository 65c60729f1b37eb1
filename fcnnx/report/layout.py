"""Where the boxes and lines of a pipeline's picture stand.

Stages stand one to a row, in their order; a stream that waits for a later stage runs down beside
them in a track of its own. A long pipeline goes on in further columns, which break where only one
stream crosses if they can, and columns that have no place go on in a further band.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


__all__ = ["PLUMBING", "Box", "Layout", "Line", "lay_out"]


# Operators that move values and compute nothing: drawn smaller.
PLUMBING = frozenset({"Fork", "Queue", "Widen", "Narrow"})

BOX_WIDTH, TALL, SMALL = 156, 42, 22
TRACK, GAP, GUTTER, MARGIN = 168, 34, 46, 12
WIDTH = 1190  # of a band, unless one column alone is wider
LEAST_HEIGHT, MOST_HEIGHT = 420, 900
LEAST, MOST = 0.6, 1.35  # of the height that is wanted, where streams cross
STEP = 7  # between lines that run side by side


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """A stage, an input or an output.

    Parameters
    ----------
    kind : ``"stage"``, ``"input"`` or ``"output"``
    name : :class:`str`
    stage : mapping or None
        As in report.json.
    x, y, width, height : :class:`float`
    """

    kind: str
    name: str
    stage: Mapping[str, Any] | None
    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A stream.

    Parameters
    ----------
    stream : mapping
        As in report.json.
    points : pairs of numbers
        From the producer to the consumer.
    label : pair of numbers
        Where its queue stands, on the line.
    """

    stream: Mapping[str, Any]
    points: tuple[tuple[float, float], ...]
    label: tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """A picture.

    Parameters
    ----------
    width, height : :class:`float`
    boxes : tuple of :class:`Box`
    lines : tuple of :class:`Line`
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


@dataclasses.dataclass(kw_only=True)
class _Item:
    """What has a row, and the numbers of the streams that come to it and go from it."""

    kind: str
    name: str
    stage: Mapping[str, Any] | None
    taken: list[int]
    given: list[int]
    track: int = 0
    column: int = 0
    y: float = 0.0
    live: dict[int, int] = dataclasses.field(default_factory=dict)  # streams below it, and tracks

    @property
    def height(self) -> float:
        small = self.kind != "stage" or (self.stage and self.stage["op"] in PLUMBING)
        return SMALL if small else TALL


def lay_out(stages: Sequence[Mapping[str, Any]], streams: Sequence[Mapping[str, Any]]) -> Layout:
    """Lay out one network.

    Parameters
    ----------
    stages, streams : sequences of mappings
        As a network of report.json has them.
    """
    items = _items(stages, streams)
    tracks = _assign_tracks(items, streams)
    columns = _break(items)
    left, top, width, height = _place_columns(columns)
    boxes = tuple(Box(kind=item.kind, name=item.name, stage=item.stage,
                      x=left[item.column] + item.track * TRACK, y=top[item.column] + item.y,
                      width=BOX_WIDTH, height=item.height) for item in items)
    lines = _lines(items, boxes, streams, tracks, columns, left, top)
    return Layout(width=width, height=height, boxes=boxes, lines=lines)


def _items(stages, streams) -> list[_Item]:
    """Inputs just before what takes them, stages in their order, outputs just behind what gives
    them."""
    items: list[_Item] = []
    placed: set[str] = set()
    for stage in stages:
        taken = [k for k, each in enumerate(streams)
                 if each["to_kind"] == "stage" and each["to"] == stage["name"]]
        given = [k for k, each in enumerate(streams)
                 if each["from_kind"] == "stage" and each["from"] == stage["name"]]
        items += _inputs((streams[k] for k in taken), streams, placed)
        items.append(_Item(kind="stage", name=stage["name"], stage=stage, taken=taken,
                           given=given))
        items += [_Item(kind="output", name=streams[k]["to"], stage=None, taken=[k], given=[])
                  for k in given if streams[k]["to_kind"] == "output"]
    through = [k for k, each in enumerate(streams)
               if each["from_kind"] == "input" and each["to_kind"] == "output"]
    for k in through:  # a network that does nothing to an input
        items += _inputs([streams[k]], streams, placed)
        items.append(_Item(kind="output", name=streams[k]["to"], stage=None, taken=[k], given=[]))
    return items


def _inputs(taken: Iterable[Mapping[str, Any]], streams, placed: set[str]) -> list[_Item]:
    names = dict.fromkeys(each["from"] for each in taken if each["from_kind"] == "input")
    new = [name for name in names if name not in placed]
    placed.update(new)
    return [_Item(kind="input", name=name, stage=None, taken=[], given=[
        k for k, each in enumerate(streams)
        if each["from_kind"] == "input" and each["from"] == name]) for name in new]


def _assign_tracks(items: list[_Item], streams) -> list[int]:
    """The track of each stream: the soonest taken goes straight down, others beside it."""
    row = {k: n for n, item in enumerate(items) for k in item.taken}
    tracks = [0] * len(streams)
    live: dict[int, int] = {}
    for item in items:
        item.track = min((live[k] for k in item.taken), default=_free(live))
        for k in item.taken:
            del live[k]
        for n, k in enumerate(sorted(item.given, key=lambda k: row[k])):
            tracks[k] = live[k] = item.track if not n else _free(live)
        item.live = dict(live)
    return tracks


def _free(live: Mapping[int, int]) -> int:
    return next(track for track in range(len(live) + 1) if track not in live.values())


def _break(items: list[_Item]) -> list[list[_Item]]:
    """Items in columns, each with its place from the column's top."""
    heights = [item.height + GAP for item in items]
    usual = sum(map(_tracks, items)) / len(items)
    wanted = sum(heights) / max(1, WIDTH // (usual * TRACK + GUTTER))
    wanted = min(max(wanted, LEAST_HEIGHT), MOST_HEIGHT)
    columns: list[list[_Item]] = []
    start = 0
    while start < len(items):
        end = _end(items, heights, start, wanted)
        y = 0.0
        for item, height in zip(items[start:end], heights[start:end], strict=True):
            item.column, item.y = len(columns), y
            y += height
        columns.append(items[start:end])
        start = end
    return columns


def _end(items: list[_Item], heights: list[float], start: int, wanted: float) -> int:
    """Where a column ends: not far from the height that is wanted, with few streams across."""
    if sum(heights[start:]) <= MOST * wanted:
        return len(items)
    found, y = [], 0.0
    for k in range(start, len(items)):
        y += heights[k]
        if LEAST * wanted <= y <= MOST * wanted:
            found.append((len(items[k].live), abs(y - wanted), k + 1))
    return min(found)[2]


def _tracks(item: _Item) -> int:
    """How many tracks there are where an item stands."""
    return max((item.track, *item.live.values())) + 1


def _place_columns(columns) -> tuple[list[float], list[float], float, float]:
    """Left and top of each column; width and height of the picture."""
    left, top = [], []
    x, y, widest, tallest = float(MARGIN), 2.0 * MARGIN, 0.0, 0.0
    for column in columns:
        width = max(map(_tracks, column)) * TRACK + GUTTER
        if x > MARGIN and x + width > WIDTH:
            x, y, tallest = float(MARGIN), y + tallest + 2 * GAP, 0.0
        left.append(x)
        top.append(y)
        x += width
        widest = max(widest, x)
        tallest = max(tallest, column[-1].y + column[-1].height)
    return left, top, widest + MARGIN, y + tallest + GAP + MARGIN


def _lines(items, boxes, streams, tracks, columns, left, top) -> tuple[Line, ...]:
    producer = {k: n for n, item in enumerate(items) for k in item.given}
    consumer = {k: n for n, item in enumerate(items) for k in item.taken}
    lines = []
    for k, stream in enumerate(streams):
        start, end = items[producer[k]], items[consumer[k]]
        first, last = boxes[producer[k]], boxes[consumer[k]]
        x = left[start.column] + tracks[k] * TRACK + BOX_WIDTH / 2
        points = _leave(first, x, start.track == tracks[k])
        label = x, first.y + first.height + GAP / 2
        for column in range(start.column, end.column):
            points += _cross(columns, left, top, column, tracks[k],
                             sorted(columns[column][-1].live).index(k))
        points += _arrive(last, points[-1][0], end.track == tracks[k])
        lines.append(Line(stream=stream, points=tuple(points), label=label))
    return tuple(lines)


def _leave(box: Box, x: float, straight: bool) -> list[tuple[float, float]]:
    """From below a box, or from its side to a track beside it."""
    if straight:
        return [(x, box.y + box.height)]
    middle = box.y + box.height / 2
    return [(box.x + box.width, middle), (x, middle)]


def _arrive(box: Box, x: float, straight: bool) -> list[tuple[float, float]]:
    if straight:
        return [(x, box.y)]
    middle = box.y + box.height / 2
    return [(x, middle), (box.x + box.width, middle)]


def _cross(columns, left, top, column: int, track: int, n: int) -> list[tuple[float, float]]:
    """From the foot of a column to the head of the next, beside other streams that do the same."""
    foot = top[column] + columns[column][-1].y + columns[column][-1].height + GAP - 6 + n * STEP
    x, over = (left[k] + track * TRACK + BOX_WIDTH / 2 for k in (column, column + 1))
    head = top[column + 1] - 8 - n * STEP / 2
    if top[column + 1] > top[column]:  # the next band: between the two
        return [(x, foot), (x, head), (over, head)]
    gutter = left[column + 1] - 2 * STEP - n * STEP
    return [(x, foot), (gutter, foot), (gutter, head), (over, head)]
