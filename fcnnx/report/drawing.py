"""The picture of a network's pipeline: stages, streams and queues, as SVG for an HTML page."""

import html
from collections.abc import Mapping
from typing import Any

from .layout import PLUMBING, Box, Line, lay_out
from .numbers import TIMES, number


__all__ = ["DEEP", "pipeline", "short_operation"]


LETTERS = 19  # of a name that fit into a box
DEEP = 64  # beats: queues from here on are drawn to be seen


def pipeline(network: Mapping[str, Any]) -> str:
    """The SVG element of one network.

    Parameters
    ----------
    network : mapping
        As in report.json.
    """
    layout = lay_out(network["stages"], network["streams"])
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
    parts = [f'<svg class="pipeline" {size} viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" '
             'role="img" aria-label="Pipeline: stages, streams and queues">']
    parts += [_line(line) for line in layout.lines]
    parts += [_box(box, network) for box in layout.boxes]
    parts += [_queue(line) for line in layout.lines]
    return "\n".join([*parts, "</svg>"])


def _line(line: Line) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
    (x0, _), (x1, y1) = line.points[-2:]
    across = 3.5 if x0 == x1 else 0.0
    along = 0.0 if x0 == x1 else 3.5
    # The head points down into a box, or to the left into its side.
    head = (f"{x1:.1f},{y1:.1f} {x1 - across + 2 * along:.1f},{y1 - along - 2 * across:.1f} "
            f"{x1 + across + 2 * along:.1f},{y1 + along - 2 * across:.1f}")
    return (f'<g class="stream"><title>{html.escape(_describe(line.stream))}</title>'
            f'<polyline points="{points}"/><polygon points="{head}"/></g>')


def _queue(line: Line) -> str:
    """The queue's sign, and what is said of the stream, where it leaves its producer."""
    stream, (x, y) = line.stream, line.label
    values = stream["lanes"] * stream["pixels"]
    text = f"{values} {TIMES} {stream['width']} b"
    deep = stream["places"] >= DEEP
    title = html.escape(_describe(stream))
    if not stream["places"]:
        return (f'<g class="queue"><title>{title}</title>'
                f'<text x="{x + 7:.1f}" y="{y + 3.5:.1f}">{text}</text></g>')
    top, height = y - (8 if deep else 6), 16 if deep else 12
    bars = "".join(f'<line x1="{x - 5:.1f}" x2="{x + 5:.1f}" y1="{top + at:.1f}" '
                   f'y2="{top + at:.1f}"/>' for at in range(4, height, 4))
    places = f'<tspan class="places">{number(stream["places"])} deep</tspan>'
    return (f'<g class="queue{" deep" if deep else ""}"><title>{title}</title>'
            f'<rect x="{x - 5:.1f}" y="{top:.1f}" width="10" height="{height}"/>{bars}'
            f'<text x="{x + 10:.1f}" y="{y + 3.5:.1f}">{text} · {places}</text></g>')


def _describe(stream: Mapping[str, Any]) -> str:
    rows, columns, channels = stream["shape"]
    kind = "signed" if stream["signed"] else "unsigned"
    queue = f"a queue of {number(stream['places'])} beats" if stream["places"] else "no queue"
    buffer = f", a window buffer of {number(stream['buffer'])} beats" if stream["buffer"] else ""
    return (f"{stream['from']} to {stream['to']}: {rows} by {columns} by {channels}, "
            f"{stream['pixels']} pixel(s) of {stream['lanes']} lane(s), {stream['width']} bits "
            f"{kind}: {stream['bits']} bits a beat, {number(stream['beats'])} beats a frame; "
            f"{queue}{buffer}")


def _box(box: Box, network: Mapping[str, Any]) -> str:
    x, y, middle = box.x, box.y, box.x + box.width / 2
    if box.stage is None:
        return (f'<g class="port"><title>{box.kind} {html.escape(box.name)}</title>'
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width}" height="{box.height}" rx="11"/>'
                f'<text x="{middle:.1f}" y="{y + 14.5:.1f}">{_short(box.name)}</text></g>')
    stage = box.stage
    busy = min(1.0, stage["interval_cycles"] / network["interval_cycles"])
    slowest = box.name == network["bottleneck"]
    small = stage["op"] in PLUMBING
    kind = " ".join(["box", *(["small"] if small else []), *(["bottleneck"] if slowest else [])])
    title = html.escape(f"{box.name} ({stage['op']}): {number(stage['interval_cycles'])} cycles "
                        f"a frame, {busy:.0%} of the interval, {number(stage['multipliers'])} "
                        f"multipliers, {number(stage['lut'])} LUT, {number(stage['dsp'])} DSP")
    frame = (f'<g class="{kind}"><title>{title}</title><rect class="frame" x="{x:.1f}" '
             f'y="{y:.1f}" width="{box.width}" height="{box.height}" rx="4"/>')
    if small:
        return (f'{frame}<text x="{middle:.1f}" y="{y + 14.5:.1f}">{stage["op"]}</text></g>')
    work = f" · {number(stage['multipliers'])} mult" if stage["multipliers"] else ""
    mark = (f'<text class="mark" x="{x:.1f}" y="{y - 5:.1f}">bottleneck</text>'
            if slowest else "")
    return (f'{frame}<rect class="busy" x="{x + 6:.1f}" y="{y + box.height - 7:.1f}" '
            f'width="{(box.width - 12) * busy:.1f}" height="3"/>'
            f'<text class="name" x="{middle:.1f}" y="{y + 14:.1f}">{_short(box.name)}</text>'
            f'<text x="{middle:.1f}" y="{y + 28:.1f}">{short_operation(stage["op"])} · '
            f'{number(stage["interval_cycles"])}{work}</text>{mark}</g>')


def short_operation(name: str) -> str:
    """What an operator is called where there is little room."""
    return html.escape({"Convolution": "Conv", "DepthwiseConvolution": "Depthw.",
                        "GlobalAveragePool": "GlobalAvg", "GlobalMaxPool": "GlobalMax",
                        "AveragePool": "AvgPool"}.get(name, name))


def _short(name: str) -> str:
    """The name, or its two ends."""
    if len(name) > LETTERS:
        kept = LETTERS - 1
        name = f"{name[:kept - kept // 2]}…{name[-(kept // 2):]}"
    return html.escape(name)
