"""What is measured is kept, and measured again where what it was made from has changed."""

import importlib
import json
import pathlib

import pytest


BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def keeping(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("keeping")
    monkeypatch.setattr(module, "KEPT", tmp_path / "results")
    return module


def test_parts_are_measured_once(keeping):
    record = keeping.Record("case")
    assert record.part("build", ["a"], lambda: {"lut": 3})["lut"] == 3
    record.part("synthesis", ["b"], lambda: {"lut": 4})
    again = keeping.Record("case")
    assert again.part("build", ["a"], pytest.fail)["lut"] == 3
    assert again.part("synthesis", ["c"], lambda: {"lut": 5})["lut"] == 5
    assert {name: part["lut"] for name, part in keeping.Record("case").parts.items()} == {
        "build": 3, "synthesis": 5}
    assert {"digest", "tree", "machine"} <= set(again.parts["build"])


def test_what_was_measured_before_a_stop_is_kept(keeping):
    def stopped():
        raise KeyboardInterrupt

    record = keeping.Record("case")
    record.part("build", ["a"], lambda: {"lut": 3})
    with pytest.raises(KeyboardInterrupt):
        record.part("simulation", ["b"], stopped)
    assert [*keeping.Record("case").parts] == ["build"]
    assert [path.name for path in keeping.KEPT.iterdir()] == ["case.json"]
    json.loads((keeping.KEPT / "case.json").read_text())


def test_stale_parts_are_told(keeping):
    keeping.Record("case").part("build", ["a"], lambda: {"lut": 3})
    record = keeping.Record("case", measuring=False)
    assert record.part("build", ["a"], pytest.fail)["lut"] == 3
    with pytest.raises(keeping.Stale):
        record.part("build", ["b"], pytest.fail)


def test_digests_of_sources(keeping, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "ROOT", tmp_path)
    for name in ("kept/a.py", "kept/b.txt", "kept/notes.md", "kept/inner/c.v"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def found():
        return keeping.digest_of_sources("kept"), keeping.digest_of_sources(
            "kept", without=("kept/inner", "kept/b.txt"))

    before = found()
    (tmp_path / "kept/notes.md").write_text("others")
    assert found() == before
    (tmp_path / "kept/inner/c.v").write_text("others")
    assert found()[0] != before[0]
    assert found()[1] == before[1]
    (tmp_path / "kept/a.py").write_text("others")
    assert found()[1] != before[1]


def test_every_case_has_a_name_of_its_own(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(BENCHMARKS.parent / "models"))
    names = [case.name for case in importlib.import_module("bench").CASES]
    assert len(set(names)) == len(names)
    assert len([name for name in names if name.startswith("cost_")]) >= 20
