"""How fast clocks may be: small engines placed and routed on an ECP5, the one device for which
there is an open tool that tells."""

from cases import Accelerator


__all__ = ["GOAL_MHZ", "clocks"]

GOAL_MHZ = 90


def clocks() -> list[Accelerator]:
    """Two engines, on the LFE5U-85F of speed grade 6."""
    return [Accelerator(name=f"clock_{name}", models=(f"{name}_qdq.onnx",), board="ulx3s-85f",
                        options=("--dsp", "60", "--lut", "24000"), simulated=False,
                        synthesised=True, paths=True, route=True)
            for name in ("rnet", "dscnn")]
