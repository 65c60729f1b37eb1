"""Every example model and its data by file name, made or fetched when first asked for.

Files land in ``build/models`` and are made anew when a recipe is newer than they are.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime.quantization as quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

import faces
import light
import mtcnn
import tiny


__all__ = ["FOLDER", "LARGE_NAMES", "NAMES", "locate"]

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "build" / "models"

_TINY: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[int, ...]]] = {
    "resnet8": (tiny.resnet8, (3, 32, 32)), "dscnn": (tiny.dscnn, (1, 49, 10)),
    "mobilenet": (tiny.mobilenet, (3, 96, 96)), "autoencoder": (tiny.autoencoder, (640,))}
_DATA = {"pnet": "crops48.npz", "rnet": "faces24.npz", "onet": "faces48.npz"}
_PHOTO = "photo.npz"
_MTCNN_OF_DATA = {data: name for name, data in _DATA.items()}

NAMES = (*(f"{name}{suffix}" for name in _TINY for suffix in (".onnx", ".npz", "_qdq.onnx")),
         *(f"{name}{suffix}" for name in mtcnn.INPUTS for suffix in (".onnx", "_qdq.onnx")),
         *_MTCNN_OF_DATA, _PHOTO)
# Up to half a gigabyte each, and smaller ones of the same topologies: made where they are asked for
# by name.
LARGE_NAMES = tuple(f"{name}{suffix}" for name in (*light.NAMES, *light.SCALED)
                    for suffix in (".onnx", ".npz", "_qdq.onnx"))
_LARGE_FRAMES = 2


class _Samples(quantization.CalibrationDataReader):
    """One frame after another of the arrays of a file."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        frames = len(next(iter(arrays.values())))
        self._frames = iter([{name: array[k:k + 1] for name, array in arrays.items()}
                             for k in range(frames)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._frames, None)


def _quantise(model: pathlib.Path, data: pathlib.Path, path: pathlib.Path) -> None:
    """As onnxruntime's users do: folded, static, QuantizeLinear and DequantizeLinear pairs."""
    folded = path.with_suffix(".folded.onnx")
    try:
        # Scales per channel came to DequantizeLinear with opset 13.
        loaded = onnx.load(model)
        if loaded.opset_import[0].version < 13:
            loaded = onnx.version_converter.convert_version(loaded, 13)
        quant_pre_process(loaded, str(folded), skip_symbolic_shape=True)
        # Of a Softmax in 256 steps, all that is nearly sure would be equally sure.
        last = [node.name for node in onnx.load(folded).graph.node if node.op_type == "Softmax"]
        with np.load(data) as arrays:
            samples = _Samples(dict(arrays))
        quantization.quantize_static(
            str(folded), str(path), samples, per_channel=True,
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_exclude=last, activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8)
    finally:
        folded.unlink(missing_ok=True)


def _data(name: str) -> dict[str, np.ndarray]:
    if name == _PHOTO:
        photo = faces.PHOTO()
        squares = faces.crops(photo)
        return {f"{network}/{mtcnn.INPUTS[network]}": faces.cut(photo, squares,
                                                               mtcnn.SIDES[network])
                for network in ("rnet", "onet")}
    if network := _MTCNN_OF_DATA.get(name):
        return {mtcnn.INPUTS[network]: faces.calibration(mtcnn.SIDES[network])}
    stem = pathlib.PurePath(name).stem
    if stem in _TINY:
        size = 32, *_TINY[stem][1]
    else:
        side = light.SCALED[stem][1] if stem in light.SCALED else light.SIDE
        size = _LARGE_FRAMES, 3, side, side
    return {"input": np.random.default_rng(0).normal(size=size).astype(np.float32)}


def _make(name: str, path: pathlib.Path) -> None:
    stem = name.removesuffix(".onnx")
    if name.endswith(".npz"):
        np.savez(path, **_data(name))
    elif stem in _TINY:
        onnx.save(_TINY[stem][0](), path)
    elif stem in light.NAMES:
        onnx.save(light.make(stem), path)
    elif stem in light.SCALED:
        base, side, narrower = light.SCALED[stem]
        onnx.save(light.make(base, side=side, narrower=narrower), path)
    else:
        float_name = stem.removesuffix("_qdq")
        _quantise(locate(f"{float_name}.onnx"), locate(_DATA.get(float_name, f"{float_name}.npz")),
                  path)


def locate(name: str) -> pathlib.Path:
    """The path of an example file, which is there when this returns.

    Raises
    ------
    KeyError
        If there is no recipe for it.
    """
    known = (*NAMES, *LARGE_NAMES)
    if name not in known:
        raise KeyError(f"There is no recipe for {name}; there is one for {', '.join(known)}")
    path = FOLDER / name
    newest = max(recipe.stat().st_mtime for recipe in pathlib.Path(__file__).parent.iterdir()
                 if recipe.is_file())
    if path.exists() and path.stat().st_mtime >= newest:
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    if path.stem in mtcnn.INPUTS:
        mtcnn.fetch(FOLDER)
        return path
    with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
        _make(name, pathlib.Path(temporary) / name)
        os.replace(pathlib.Path(temporary) / name, path)
    return path
