"""report.html: what it shows is what report.json says, and it needs nothing else."""

import copy
import re
import sys
from html.parser import HTMLParser

import pytest

from fcnnx import folder
from fcnnx.errors import BadInput
from fcnnx.report import charts, html
from fcnnx.report.files import PAGE, REPORT, SIMULATION, SYNTHESIS, refresh, texts
from fcnnx.report.measured import with_measurements
from fcnnx.report.reproduction import command, reproduction


class Reader(HTMLParser):
    """Text, table rows, tags and attributes of a page; every tag must be closed in its turn."""

    EMPTY = {"meta", "br", "rect", "line", "path", "polyline", "polygon"}

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.rows, self.words = [], [], [], [], []
        self.feed(page)
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def read(planned, simulation=None, synthesis=None):
    return Reader(html.page(with_measurements(planned, simulation, synthesis)))


def row_of(reader, *start):
    """The only row that starts with these cells."""
    (row,) = [row for row in reader.rows if tuple(row[:len(start)]) == start]
    return row


def test_needs_nothing_else(planned):
    reader = read(planned)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    for name, value in reader.attributes:
        assert name not in ("src", "href", "xlink:href")
        assert not name.startswith("on")
        if not name.startswith("xmlns"):
            assert "://" not in (value or "")
    page = html.page(with_measurements(planned, None, None))
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page


def test_every_section(planned):
    reader = read(planned)
    for title in ("Warnings", "Networks", "Resources", "How the device is shared",
                  "Fronts, and what was chosen", "Predicted and measured", "Pipeline", "Stages",
                  "Ports"):
        assert title in reader.words, title
    assert reader.tags.count("svg") == 4  # resources, fronts, and a pipeline of each network
    assert reader.text.index("Warnings") < reader.text.index("Networks")
    assert "assumed: nothing was placed and routed" in reader.text


def test_names_are_escaped(planned):
    page = html.page(with_measurements(planned, None, None))
    assert "<conv" not in page
    assert "<b>odd" not in page
    reader = Reader(page)
    assert row_of(reader, "<conv & 'co'>")[1] == "Conv"
    assert "a: Something <b>odd</b>." in reader.words


def test_figures_are_those_of_the_report(planned):
    reader = read(planned)
    for name, row in planned["networks"].items():
        cells = next(cells for cells in reader.rows if cells[0] == name)
        assert cells[1:5] == ["1,236", "101,133", "2,468", "0.0197"]
        assert cells[8] == "3.5 ms"
        for stage in row["stages"]:
            found = [cells for cells in reader.rows if cells[0] == stage["name"]]
            for cells in found:
                assert cells[3] == f"{stage['interval_cycles']:,}"
                assert cells[-5:] == [
                    f"{stage['bram18']:,}" if stage["bram18"] else "", f"{stage['lut']:,}",
                    f"{stage['ff']:,}", f"{stage['memory_bits']:,}" if stage["memory_bits"]
                    else "", cells[-1]]
            assert found
    assert row_of(reader, "used") == ["used", "42", "12", "3,468", "4,108"]
    assert row_of(reader, "used of the budget") == ["used of the budget", "95%", "4%", "7%", "4%"]
    assert row_of(reader, "STP")[2] == "1.618"
    assert row_of(reader, "STP in frames")[2] == "202,265"
    shared = [cells for cells in reader.rows if cells[0] == "a" and len(cells) == 7]
    assert shared == [["a", "1", "1,000", "1,236", "0.809", "1.236",
                       "DSP: the next faster foldings that were found (1,111 cycles) need 25 DSP "
                       "where 22 are left (3 too many)."]]


def test_nothing_measured(planned):
    reader = read(planned)
    for figure, value in (("interval, cycles", "1,236"), ("first-frame latency, cycles", "2,468"),
                          ("multipliers at work", "67.4%")):
        assert row_of(reader, "a", figure)[2:] == [value, "not measured", "", ""]
    assert row_of(reader, "all", "DSP")[2:] == ["42", "", "not measured", ""]
    assert row_of(reader, "all", "clock, MHz")[2:] == ["125 assumed", "", "not measured", ""]
    assert "URAM" not in reader.text


def test_measured(planned, simulation, synthesis):
    reader = read(planned, simulation, synthesis)
    assert row_of(reader, "a", "interval, cycles")[2:] == ["1,236", "1,236", "", "1.000"]
    assert row_of(reader, "b", "interval, cycles")[3:] == ["not measured (one frame)", "", ""]
    assert row_of(reader, "b", "multipliers at work")[3:] == ["not measured (one frame)", "", ""]
    assert row_of(reader, "all", "LUT")[2:] == ["3,468", "", "4,000", "0.867"]
    assert row_of(reader, "all", "clock, MHz")[4:] == ["not measured", ""]
    assert reader.text.count("all equal to the golden model") == 2
    assert "Synthesised with Yosys 0.70 for XC7Z020" in reader.text
    assert "differ" not in reader.text


def test_alarms(planned, simulation):
    simulation["networks"]["b"] = simulation["networks"]["a"] | {"mismatches": 5}
    simulation["networks"]["a"] = simulation["networks"]["a"] | {"latency_cycles": 2470}
    reader = read(planned, simulation)
    warnings = reader.text[:reader.text.index("Networks")]
    assert "b: 5 of 800 simulated values differ from the golden model." in warnings
    assert ("a: the predicted first-frame latency, cycles, 2,468, is not the simulated 2,470."
            in warnings)
    stalled = read(planned, simulation | {"stalls": 7})
    assert "is not the simulated" not in stalled.text
    assert "stalled at random (seed 7)" in stalled.text
    assert row_of(stalled, "a", "interval, cycles")[2:] == ["1,236", "1,236", "", ""]


def test_one_network_alone(planned):
    del planned["networks"]["b"]
    planned["networks"]["a"]["front"] = []
    planned["networks"]["a"]["bound"] = {"left": {}, "faster": None, "short": {}}
    reader = read(planned)
    assert "What binds" in reader.words
    assert "ANTT" not in reader.text
    assert reader.tags.count("svg") == 2
    assert "none of them has a faster folding" in reader.text


def test_charts_take_the_colours_of_the_page(planned):
    svg = charts.resources(with_measurements(planned, None, None))
    assert set(re.findall(r'fill="([^"]+)"', svg)) <= {"none", "transparent"} | {
        f"var(--{name})" for name in ("series-1", "series-2", "free", "capped", "text", "muted")}
    assert "42 of 44 (95%)" in svg
    assert "font-family" not in svg
    style = html.STYLE.read_text()
    for name in set(re.findall(r"var\(--([a-z0-9-]+)\)", style + svg)):
        assert style.count(f"--{name}: ") == 2, name  # light and dark


def test_a_chart_that_cannot_be_drawn(planned, monkeypatch):
    def fail(spec):
        raise ValueError("no fonts")

    monkeypatch.setattr(charts.vl_convert, "vegalite_to_svg", fail)
    with pytest.raises(BadInput, match=r"report\.html: A chart cannot be drawn: no fonts\."):
        html.page(with_measurements(planned, None, None))


def test_charts_that_are_not_installed(planned, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcnnx.report.html", None)
    monkeypatch.delattr(sys.modules["fcnnx.report"], "html")
    with pytest.raises(BadInput, match=r"report\.html: The charts cannot be drawn"):
        texts(planned)


@pytest.fixture
def made(tmp_path, planned):
    place = tmp_path / "made"
    with folder.new_build(place, force=False) as partial:
        for name, text in texts(with_measurements(planned, None, None)).items():
            (partial / name).write_text(text)
    return place


def test_refresh(made, simulation, synthesis):
    before = (made / PAGE).read_text()
    folder.write_json(made / SIMULATION, simulation)
    folder.write_json(made / SYNTHESIS, synthesis)
    report = refresh(made)
    folder.verify(made)
    assert report["simulation"] == simulation
    assert report["synthesis"]["lut"] == 4000
    assert "modules" not in report["synthesis"]
    assert (made / REPORT).read_text() == folder.json_text(report)
    assert (made / PAGE).read_text() == html.page(report) != before
    assert sorted(path.name for path in made.iterdir()) == [
        "manifest.json", PAGE, REPORT, SIMULATION, SYNTHESIS]
    assert refresh(made) == report


def test_refresh_of_an_older_report(made, planned):
    (made / REPORT).write_text(folder.json_text(planned))
    with pytest.raises(BadInput, match="older version of fcnnx"):
        refresh(made)


def without(found, *path):
    """A copy of what a file holds, but for one key."""
    found = copy.deepcopy(found)
    *outer, last = path
    inner = found
    for key in outer:
        inner = inner[key]
    del inner[last]
    return found


def test_simulation_of_another_version(made, with_memory, simulated):
    """It counts as none, whatever is missing."""
    (made / REPORT).write_text(folder.json_text(with_measurements(with_memory, None, None)))
    folder.write_json(made / SIMULATION, simulated)
    assert refresh(made)["simulation"] == simulated
    for path in (("networks", "b", "starved_cycles"), ("memory", "steady_utilisation"),
                 ("memory", "streams", 0, "least")):
        folder.write_json(made / SIMULATION, without(simulated, *path))
        assert refresh(made)["simulation"] is None


def test_simulation_of_other_networks(made, simulation):
    folder.write_json(made / SIMULATION, without(simulation, "networks", "a"))
    assert refresh(made)["simulation"] is None


@pytest.mark.parametrize("text", ["[]", '{"networks": []'])
def test_measurements_that_are_none(made, text):
    for name in (SIMULATION, SYNTHESIS):
        (made / name).write_text(text)
    report = refresh(made)
    assert (report["simulation"], report["synthesis"]) == (None, None)


def test_synthesis_of_another_version(made, synthesis):
    folder.write_json(made / SYNTHESIS, without(synthesis, "fmax_mhz"))
    assert refresh(made)["synthesis"] is None


def test_a_disk_that_is_full(made, simulation, monkeypatch):
    folder.write_json(made / SIMULATION, simulation)
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    write = type(made).write_text

    def fail(path, *words, **options):
        if "manifest" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, *words, **options)

    monkeypatch.setattr(type(made), "write_text", fail)
    with pytest.raises(BadInput, match="No space left on device"):
        refresh(made)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    folder.verify(made)


def test_command():
    assert command({
        "models": ("a b.onnx", "c.onnx"), "board": "zedboard", "out": None, "shape": {"x": "1,2"},
        "targets": [], "dsp": 0, "clock": 125.0, "plan_only": True, "force": False}) == (
        "fcnnx build --models 'a b.onnx' c.onnx --board zedboard --shape x=1,2 --dsp 0 "
        "--clock 125 --plan-only")


def test_reproduction(planned, tmp_path):
    model = tmp_path / "a.onnx"
    model.write_bytes(b"model")
    made = reproduction({"models": [model], "board": "zedboard"}, {"a": model})
    assert made["models"]["a"]["sha256"].startswith("9372c470eeadd5ec")
    reader = read(planned | {"reproduction": made})
    assert f"fcnnx build --models {model} --board zedboard" in reader.text
    assert made["models"]["a"]["sha256"] in reader.text
    assert planned["plan"] in reader.text
    for name, version in made["versions"].items():
        assert f"{name} {version}" in reader.text
