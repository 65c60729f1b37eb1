"""Several trained networks, one proven FPGA accelerator.

``build`` makes an accelerator of ONNX models, ``simulate`` proves it; both have the words of the
command line. They are brought in when first asked for: whoever imports :mod:`fcnnx.hdl` alone runs
this file too.
"""

import importlib
from typing import Any


__all__ = ["build", "simulate"]


def __getattr__(name: str) -> Any:
    modules = {"build": "fcnnx.building", "simulate": "fcnnx.simulating"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules[name]), name)
