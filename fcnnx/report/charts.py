"""Charts of report.html: SVG elements whose colours are those of the page, light or dark."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair
import vl_convert

from fcnnx.errors import BadInput, Problem

from .numbers import KINDS, number, share


__all__ = ["MANY_SLOTS", "SERIES", "bandwidth", "fronts", "levels", "resources", "slots",
           "stream_title"]


SERIES = 8  # networks with a colour of their own; style.css has them
LABEL = "var(--muted)"
MEMORY = "memory side"
PARTS = {MEMORY: "memory", "free": "free", "capped": "capped"}  # of a device, with their colours
LEFT_OVER = {"spare": "box-line", "free": "free", "refreshes": "capped"}  # of a port's bandwidth
PALE = 0.45  # what is written
MANY_SLOTS = 64  # of a table: of one with more the beginning is drawn apart
WIDTH = 760  # of an axis of time
LETTERS = 38  # of a stream's name beside it
LABELS = 300  # points for them, in whatever font
# A share of the budget from which on a point is not drawn: nobody wants a design so large.
MOST = 2.0


def _render(chart: Any, label: str) -> str:
    """The chart as SVG, without a colour or a font that the page does not choose.

    Raises
    ------
    BadInput
        If it cannot be drawn.
    """
    styled = chart.configure(
        background="transparent", font="sans-serif",
        view=altair.ViewConfig(stroke=None),
        padding={"left": 5, "right": 60, "top": 5, "bottom": 5},  # the page's font may be wider
        axis=altair.AxisConfig(
            labelFlush=False,
            labelColor=LABEL, titleColor=LABEL, gridColor="var(--grid)", tickColor="var(--grid)",
            domainColor="var(--line)", labelFontSize=12, titleFontSize=12,
            titleFontWeight="normal", labelLimit=300, titlePadding=8),
        legend=altair.LegendConfig(labelColor="var(--text)", titleColor=LABEL, labelFontSize=12,
                                   titleFontSize=12, titleFontWeight="normal", labelLimit=300,
                                   columnPadding=24))
    try:
        svg = vl_convert.vegalite_to_svg(styled.to_dict())
    except (ValueError, RuntimeError, OSError) as error:  # vl-convert's own
        raise BadInput(Problem(where="report.html", reason=f"A chart cannot be drawn: {error}.",
                               remedy="Install fcnnx again: make install.")) from error
    svg = re.sub(r' (aria-[a-z]+|role)="[^"]*"', "", svg).replace(' font-family="sans-serif"', "")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _colours(names: Sequence[str], others: Mapping[str, str] | None = None) -> altair.Scale:
    """A colour for each network, and further ones by what they are for."""
    series = [f"var(--series-{n % SERIES + 1})" for n in range(len(names))]
    further = others or {}
    return altair.Scale(domain=[*names, *further], range=series + [
        f"var(--{colour})" for colour in further.values()])


def resources(report: Mapping[str, Any]) -> str:
    """Shares of the device that each network takes, that are free, and that caps forbid.

    Parameters
    ----------
    report : mapping
        As in report.json.
    """
    names = [*report["networks"]]
    rows, marks = [], []
    for kind, title in KINDS.items():
        whole, budget, used = (report[key][kind] for key in ("available", "budget", "total"))
        if not whole:
            continue
        parts = {name: report["networks"][name][kind] for name in names}
        parts |= {MEMORY: report["memory"][kind]}
        parts |= {"free": max(0, budget - used), "capped": whole - max(budget, used)}
        start = 0.0
        for name, amount in parts.items():
            rows.append({"kind": title, "part": name, "from": start / whole,
                         "to": (start + amount) / whole})
            start += amount
        marks.append({"kind": title, "cap": budget / whole, "text":
                      f"{number(used)} of {number(budget)} ({share(used, budget)})"})
    others = {part: colour for part, colour in PARTS.items()
              if any(row["part"] == part and row["to"] > row["from"] for row in rows)}
    order = [title for title in KINDS.values() if any(mark["kind"] == title for mark in marks)]
    y = altair.Y("kind:N", sort=order, title=None,
                 axis=altair.Axis(ticks=False, domain=False, labelFontSize=13, labelPadding=8,
                                  labelColor="var(--text)"))
    bars = altair.Chart(altair.Data(values=rows)).mark_bar(
        height=20, stroke="var(--card)", strokeWidth=1).encode(
        y=y, x2="to:Q", x=altair.X("from:Q", title="share of the device", scale=altair.Scale(
            domain=[0, 1]), axis=altair.Axis(format="%", grid=True, tickCount=10)),
        color=altair.Color("part:N", scale=_colours(names, others),
                           legend=altair.Legend(title=None, orient="top", symbolType="square",
                                                symbolStrokeWidth=0)))
    marked = altair.Chart(altair.Data(values=marks))
    caps = marked.mark_tick(color="var(--text)", thickness=2, height=28).encode(y=y, x="cap:Q")
    texts = marked.mark_text(align="left", dx=12, fontSize=12, color="var(--text)").encode(
        y=y, x=altair.datum(1.0), text="text:N")
    return _render((bars + caps + texts).properties(width=820, height=34 * len(order)),
                   "Resources of the device by network")


def fronts(report: Mapping[str, Any]) -> str:
    """Each network's front, as the largest share of the budget by interval, and what was chosen.

    Parameters
    ----------
    report : mapping
        As in report.json; some network has a front.
    """
    names = [name for name, row in report["networks"].items() if row["front"]]
    points, chosen = [], []
    for name in names:
        row = report["networks"][name]
        points += [{"network": name, "interval": interval, "share": part}
                   for interval, part in _lower_edge(row["front"], report["budget"])]
        chosen.append({"network": name, "interval": row["interval_cycles"],
                       "share": _largest(row, report["budget"])})
    x = altair.X("interval:Q", title="interval, cycles a frame (logarithmic)",
                 scale=altair.Scale(type="log", nice=False, padding=12),
                 axis=altair.Axis(format="~s", tickCount=8))
    y = altair.Y("share:Q", title="largest share of the budget",
                 scale=altair.Scale(domain=[0, MOST]), axis=altair.Axis(format="%", tickCount=5))
    colour = altair.Color("network:N", scale=_colours([*report["networks"]]),
                          legend=altair.Legend(title=None, orient="top"))
    lines = altair.Chart(altair.Data(values=points)).mark_line(
        interpolate="step-before", strokeWidth=2, point=altair.OverlayMarkDef(size=14)).encode(
        x=x, y=y, color=colour)
    diamonds = altair.Chart(altair.Data(values=chosen)).mark_point(
        shape="diamond", size=180, filled=True, opacity=1, stroke="var(--text)",
        strokeWidth=1.5).encode(x=x, y=y, color=colour)
    texts = altair.Chart(altair.Data(values=chosen)).mark_text(
        align="left", dx=11, dy=-9, fontSize=12, color="var(--text)").encode(
        x=x, y=y, text=altair.Text("interval:Q", format=","))
    whole = altair.Chart(altair.Data(values=[{"share": 1.0}])).mark_rule(
        color="var(--text)", strokeDash=[5, 4]).encode(y="share:Q")
    return _render((whole + lines + diamonds + texts).properties(width=960, height=260),
                   "Fronts of the networks, and the points that were chosen")


def _largest(amounts: Mapping[str, Any], budget: Mapping[str, float]) -> float:
    """The largest share of a kind; one that is forbidden and needed is more than all of it."""
    return max((amounts[kind] / budget[kind] if budget[kind] else MOST)
               for kind in KINDS if amounts[kind] or budget[kind])


def _lower_edge(front: Sequence[Mapping[str, Any]],
                budget: Mapping[str, float]) -> list[tuple[int, float]]:
    """Of a front's points those that are faster than all of a smaller share, the fastest first."""
    edge: list[tuple[int, float]] = []
    least = MOST
    for point in sorted(front, key=lambda each: each["interval_cycles"]):
        part = _largest(point, budget)
        if part < least:
            least = part
            edge.append((point["interval_cycles"], part))
    return edge


def bandwidth(report: Mapping[str, Any]) -> str:
    """What each port of the memory gives, and to which stream.

    Parameters
    ----------
    report : mapping
        As in report.json, with a schedule.
    """
    schedule, names = report["schedule"], [*report["networks"]]
    gbps = schedule["word_bytes"] * report["clock_mhz"] / 1e3  # of a word per cycle
    refreshes = schedule["refresh_cycles"][0] / schedule["refresh_cycles"][1]
    rows, marks = [], []
    for index, port in enumerate(schedule["ports"]):
        title, given = f"port {index}", port["words_per_cycle"]
        needed = sum(each["rate"] for each in port["streams"])
        surely = max(needed, sum(each["guaranteed"] for each in port["streams"]))
        parts = [(each["network"], each["rate"], each["direction"]) for each in port["streams"]]
        parts += [("spare", surely - needed, "read"),
                  ("free", max(0.0, given * (1 - refreshes) - surely), "read"),
                  ("refreshes", given * refreshes, "read")]
        start = 0.0
        for part, words, direction in parts:
            rows.append({"port": title, "part": part, "direction": direction,
                         "from": start * gbps, "to": (start + words) * gbps})
            start += words
        marks.append({"port": title, "end": start * gbps, "text":
                      f"{number(needed * gbps)} of {number(given * gbps)} GB/s"})
    others = {part: colour for part, colour in LEFT_OVER.items()
              if any(row["part"] == part and row["to"] > row["from"] for row in rows)}
    y = altair.Y("port:N", title=None, axis=altair.Axis(
        ticks=False, domain=False, labelFontSize=13, labelPadding=8, labelColor="var(--text)"))
    bars = altair.Chart(altair.Data(values=rows)).mark_bar(
        height=20, stroke="var(--card)", strokeWidth=1).encode(
        y=y, x=altair.X("from:Q", title="GB/s", axis=altair.Axis(grid=True, tickCount=8)),
        x2="to:Q", fillOpacity=_paler(),
        color=altair.Color("part:N", scale=_colours(names, others), legend=altair.Legend(
            title=None, orient="top", symbolType="square", symbolStrokeWidth=0)))
    texts = altair.Chart(altair.Data(values=marks)).mark_text(
        align="left", dx=12, fontSize=12, color="var(--text)").encode(
        y=y, x="end:Q", text="text:N")
    return _render((bars + texts).properties(width=WIDTH, height=34 * len(marks)),
                   "Bandwidth of the ports by stream")


def _paler() -> Any:
    return altair.condition("datum.direction == 'write'", altair.value(PALE), altair.value(1))


def stream_title(stream: Mapping[str, Any]) -> str:
    """What a stream of a port is called: its name, and which part of it that is."""
    if stream["stripes"] == 1:
        return stream["name"]
    return f"{stream['name']} {stream['stripe'] + 1}/{stream['stripes']}"


def slots(report: Mapping[str, Any], index: int, *, first: int | None = None) -> str:
    """A port's table on an axis of time: a row for each stream, and one for all.

    Parameters
    ----------
    report : mapping
        As in report.json, with a schedule of tables.
    index : :class:`int`
        The port.
    first : :class:`int`
        How many slots are drawn, from the first on; all where it is left out.
    """
    schedule, names = report["schedule"], [*report["networks"]]
    port = schedule["ports"][index]
    times = slot_times(port, schedule["turnaround_cycles"])[:first]
    end = times[-1][1]
    titles = ["all", *(f"{k}: {stream_title(each)}" for k, each in enumerate(port["streams"]))]
    rows = []
    for k, each in enumerate(port["streams"]):
        own = [time for time, slot in zip(times, port["table"], strict=False) if slot == k]
        for start, stop in _runs(own, end / WIDTH):
            rows += [{"stream": row, "network": each["network"], "direction": each["direction"],
                      "from": start, "to": stop} for row in ("all", titles[k + 1])]
    y = altair.Y("stream:N", title=None, scale=altair.Scale(domain=titles), axis=altair.Axis(
        ticks=False, domain=False, grid=True, labelPadding=8, minExtent=LABELS, maxExtent=LABELS,
        labelExpr=f"truncate(replace(datum.label, /^[0-9]+: /, ''), {LETTERS}, 'center')",
        labelColor="var(--text)"))
    bars = altair.Chart(altair.Data(values=rows)).mark_bar(height=13).encode(
        y=y, x2="to:Q", fillOpacity=_paler(),
        x=altair.X("from:Q", title="cycles", scale=altair.Scale(domain=[0, end], nice=False),
                   axis=altair.Axis(format=",d", grid=False, tickCount=10)),
        color=altair.Color("network:N", scale=_colours(names), legend=None))
    return _render(bars.properties(width=WIDTH, height=18 * len(titles)),
                   f"Slots of port {index}")


def levels(report: Mapping[str, Any]) -> str:
    """The level of every stream's queue over some turns of the tables, as it was simulated, and the
    one that is proven.

    Parameters
    ----------
    report : mapping
        As in report.json, with a schedule, and a simulation that sampled levels.
    """
    schedule, names = report["schedule"], [*report["networks"]]
    found = report["simulation"]["memory"]
    sampled = {(each["port"], each["name"]): each["samples"] for each in found["streams"]}
    end = max(map(len, sampled.values())) * found["sample_cycles"]
    rows: list[dict[str, Any]] = []
    titles: list[str] = []
    for index, port in enumerate(schedule["ports"]):
        for each in port["streams"]:
            samples = sampled.get((index, each["name"]), [])
            if not samples:
                continue
            titles.append(f"{len(titles)}: {stream_title(each)}")
            bound = each["level"] and each["level"][each["direction"] == "write"]
            rows += [{"stream": titles[-1], "network": each["network"], "level": level,
                      "bound": bound, "cycle": k * found["sample_cycles"]}
                     for k, level in _steps(samples)]
    x = altair.X("cycle:Q", title="cycles", scale=altair.Scale(domain=[0, end], nice=False),
                 axis=altair.Axis(format=",d", grid=False, tickCount=10))
    y = altair.Y("level:Q", title=None, scale=altair.Scale(zero=True),
                 axis=altair.Axis(format=",d", tickCount=2, grid=True, labelFontSize=10))
    chart = altair.Chart().mark_line(interpolate="step-after", strokeWidth=1).encode(
        x=x, y=y, color=altair.Color("network:N", scale=_colours(names), legend=None))
    bounds = altair.Chart().mark_rule(strokeDash=[4, 3], color="var(--text)").encode(
        y="max(bound):Q")
    header = altair.Header(
        labelAngle=0, labelAlign="left", labelColor="var(--text)", labelFontSize=12, title=None,
        labelPadding=28,
        labelExpr=f"truncate(replace(datum.label, /^[0-9]+: /, ''), {LETTERS}, 'center')")
    return _render(altair.layer(chart, bounds, data=altair.Data(values=rows)).properties(
        width=WIDTH, height=42).facet(
            row=altair.Row("stream:N", sort=titles, header=header), spacing=8).resolve_scale(
                y="independent"), "Levels of the queues")


def _steps(samples: Sequence[int]) -> list[tuple[int, int]]:
    """Where samples change, and the last, with their numbers."""
    last = len(samples) - 1
    return [(k, level) for k, level in enumerate(samples)
            if k in (0, last) or level != samples[k - 1]]


def slot_times(port: Mapping[str, Any], turnaround: int) -> list[tuple[float, float]]:
    """When each slot of a table starts and ends at the latest, in cycles of its period: as long as
    its burst moves, and the turn before it."""
    table, streams = port["table"], port["streams"]
    lasts = []
    for before, k in zip([table[-1], *table], table, strict=False):
        turned = streams[before]["direction"] != streams[k]["direction"]
        lasts.append(streams[k]["burst"] / port["words_per_cycle"] + turned * turnaround)
    ends = [port["period_cycles"] * done / sum(lasts) for done in itertools.accumulate(lasts)]
    return list(zip([0.0, *ends], ends, strict=False))


def _runs(times: Sequence[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Slots in order, those joined that lie no further apart."""
    runs: list[tuple[float, float]] = []
    for start, end in times:
        if runs and start - runs[-1][1] <= gap:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((start, end))
    return runs
