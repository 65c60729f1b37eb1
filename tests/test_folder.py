"""Build folders: whole or not there, one writer, checked."""

import multiprocessing
import os
import signal
import time

import pytest

from fcnnx import folder
from fcnnx.errors import BadInput


def fill(place, content="content", *, force=False):
    with folder.in_use(place, writing=True), folder.new_build(place, force=force) as build:
        (build / "rtl").mkdir()
        (build / "rtl" / "accelerator.v").write_text(content)
        (build / "plan.json").write_text("{}")


def test_build_appears_with_its_manifest(tmp_path):
    fill(tmp_path / "deep" / "build")
    assert sorted(path.name for path in (tmp_path / "deep" / "build").iterdir()) == [
        "manifest.json", "plan.json", "rtl"]
    assert [*folder.read_build(tmp_path / "deep" / "build")] == ["plan.json", "rtl/accelerator.v"]
    folder.verify(tmp_path / "deep" / "build")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["build"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_stays_of_a_failure(tmp_path, error):
    def fail():
        with folder.new_build(tmp_path / "build", force=False) as build:
            (build / "plan.json").write_text("{}")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_old_build(tmp_path):
    fill(tmp_path / "build", "old")

    def fail():
        with folder.new_build(tmp_path / "build", force=True) as build:
            (build / "plan.json").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    folder.verify(tmp_path / "build")
    assert (tmp_path / "build" / "rtl" / "accelerator.v").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def test_build_is_replaced_with_force_only(tmp_path):
    fill(tmp_path / "build", "old")
    with pytest.raises(BadInput, match=r"holds a build already\. Replace it with --force"):
        fill(tmp_path / "build", "new")
    assert (tmp_path / "build" / "rtl" / "accelerator.v").read_text() == "old"
    fill(tmp_path / "build", "new", force=True)
    assert (tmp_path / "build" / "rtl" / "accelerator.v").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_a_build_is_refused(tmp_path, force):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(BadInput, match="not empty, and no fcnnx build"):
        fill(tmp_path / "photos", force=force)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file or a link"):
        fill(tmp_path / "file", force=force)
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / "build").mkdir()
    fill(tmp_path / "build")
    folder.verify(tmp_path / "build")


def test_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="The folder cannot be written to"):
        fill(tmp_path / "file" / "build")


def test_every_missing_and_edited_file_is_named(tmp_path):
    fill(tmp_path / "build")
    (tmp_path / "build" / "plan.json").unlink()
    (tmp_path / "build" / "rtl" / "accelerator.v").write_text("edited")
    with pytest.raises(BadInput) as caught:
        folder.verify(tmp_path / "build")
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/build/plan.json: This file of the build is missing. "
        "Build it again with --force.",
        f"{tmp_path}/build/rtl/accelerator.v: This file of the build was edited, "
        "or is that of another. "
        "Build it again with --force."]


def test_no_build(tmp_path):
    with pytest.raises(BadInput, match="There is no such folder"):
        folder.verify(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="This is not a build of fcnnx"):
        folder.verify(tmp_path)


def hold(place, writing, ready):
    with folder.in_use(place, writing=writing):
        ready.set()
        time.sleep(60)


@pytest.mark.parametrize(("theirs", "ours", "refused"), [
    (True, True, True), (True, False, True), (False, True, True), (False, False, False)])
def test_one_writer_or_many_readers(tmp_path, theirs, ours, refused):
    place = tmp_path / "build"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=hold, args=(place, theirs, ready))
    other.start()
    try:
        assert ready.wait(20)
        if refused:
            with pytest.raises(BadInput, match="Another fcnnx process is using this folder"), \
                    folder.in_use(place, writing=ours):
                pass
        else:
            with folder.in_use(place, writing=ours):
                pass
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    # A lock ends with its process, however that ends.
    with folder.in_use(place, writing=True):
        pass
    assert list(tmp_path.iterdir()) == []
