"""Results of the tools are kept, for one run of the tests."""

import pathlib

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # What nextpnr is compiled to for this machine, which takes it a quarter of a minute.
        patch.setenv("YOWASP_CACHE_DIR", str(pathlib.Path.home() / ".cache" / "YoWASP"))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
