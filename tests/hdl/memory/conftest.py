"""Icarus is no Python package: where it is missing, its tests are not there either."""

import shutil


collect_ignore = [] if shutil.which("iverilog") else ["test_cocotb.py"]
