"""R-Net and O-Net as one accelerator that finds a face, from trained models to a picture.

    python models/demo.py

Builds the accelerator for a ZedBoard, runs labelled patches and squares of a photo through its
simulated hardware, compares what it sees with onnxruntime on the float models, and draws what it
found. Everything lands in build/.
"""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw

import faces
import mtcnn
import recipes


BUILD = pathlib.Path("build", "faces")
DEMO = pathlib.Path("build", "demo")
NETWORKS = ("rnet", "onet")
VERDICTS = {"rnet": "softmax_1", "onet": "softmax_2"}
LANDMARKS = "onet/dense_6"  # five columns, then five rows, as shares of the square's side
THRESHOLD = 0.5


def run(*words: str | pathlib.Path) -> None:
    """Run fcnnx, and show the command."""
    print("\n$ fcnnx", *words, flush=True)
    subprocess.run([sys.executable, "-m", "fcnnx", *map(str, words)], check=True)


def place(name: str) -> str:
    """An example file, from here."""
    return os.path.relpath(recipes.locate(name))


def float_verdicts(network: str, frames: np.ndarray) -> np.ndarray:
    """What onnxruntime says of the model as it was trained."""
    session = onnxruntime.InferenceSession(str(recipes.locate(f"{network}.onnx")),
                                           providers=["CPUExecutionProvider"])
    (verdicts,) = session.run([VERDICTS[network]], {mtcnn.INPUTS[network]: frames})
    return verdicts[:, 1] > THRESHOLD


def simulate(name: str, frames: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Frames through the hardware; gives its outputs."""
    np.savez(DEMO / f"{name}.npz", **{f"{network}/{mtcnn.INPUTS[network]}": array
                                      for network, array in frames.items()})
    found = DEMO / f"{name}_found.npz"
    run("simulate", BUILD, "--inputs", DEMO / f"{name}.npz", "--outputs", found)
    with np.load(found) as file:
        return dict(file)


def compare(network: str, hardware: np.ndarray, patches: np.ndarray, truth: np.ndarray) -> None:
    """Tell how the hardware's verdicts compare with the float model's."""
    verdicts, exact = hardware > THRESHOLD, float_verdicts(network, patches)
    print(f"{network}: on {(verdicts == exact).sum()} of {len(truth)} labelled patches hardware "
          f"and float model agree; the hardware is right on {(verdicts == truth).sum()}, the "
          f"float model on {(exact == truth).sum()}")


def draw(photo: np.ndarray, square: np.ndarray, landmarks: np.ndarray, path: pathlib.Path) -> None:
    """The square and its surroundings, enlarged, with the five landmarks."""
    top, left, side = map(int, square)
    scale, margin = 4, side // 2
    box = (max(0, left - margin), max(0, top - margin),
           min(photo.shape[1], left + side + margin), min(photo.shape[0], top + side + margin))
    picture = Image.fromarray(photo).crop(box)
    picture = picture.resize((scale * picture.width, scale * picture.height), Image.LANCZOS)
    pen = ImageDraw.Draw(picture)

    def enlarged(column: float, row: float) -> tuple[float, float]:
        return scale * (column - box[0]), scale * (row - box[1])

    pen.rectangle([enlarged(left, top), enlarged(left + side, top + side)], outline="cyan", width=3)
    for column, row in zip(landmarks[:5], landmarks[5:], strict=True):
        x, y = enlarged(left + column * side, top + row * side)
        pen.ellipse([x - 9, y - 9, x + 9, y + 9], outline="black", fill="yellow", width=2)
    picture.save(path)


def main() -> None:
    """Build, simulate, compare, draw."""
    start = time.monotonic()
    os.chdir(recipes.FOLDER.parent.parent)
    DEMO.mkdir(parents=True, exist_ok=True)
    run("build", "--models", *(place(f"{name}.onnx") for name in NETWORKS), "--board", "zedboard",
        "--calibration", f"rnet={place('faces24.npz')}", f"onet={place('faces48.npz')}",
        "--out", BUILD, "--force")

    # R-Net sees every labelled patch and every square of the photo. O-Net, which takes longer for
    # each, sees every other patch, and of the photo what R-Net holds for a face.
    patches = {name: faces.labelled(mtcnn.SIDES[name]) for name in NETWORKS}
    patches["onet"] = tuple(each[::2] for each in patches["onet"])
    photo = faces.PHOTO()
    squares = faces.crops(photo)
    frames = {"rnet": np.concatenate([patches["rnet"][0], faces.cut(photo, squares, 24)]),
              "onet": patches["onet"][0]}
    found = simulate("patches", frames)
    verdicts = {name: found[f"{name}/{VERDICTS[name]}"][:, 1] for name in NETWORKS}
    print()
    for name in NETWORKS:
        compare(name, verdicts[name][:len(patches[name][1])], *patches[name])

    scores = verdicts["rnet"][len(patches["rnet"][1]):]
    passed = squares[scores > THRESHOLD] if scores.max() > THRESHOLD else squares[[scores.argmax()]]
    print(f"rnet: {len(passed)} of {len(squares)} squares of the photo go on to O-Net")
    found = simulate("squares", {name: faces.cut(photo, passed, mtcnn.SIDES[name])
                                 for name in NETWORKS})
    scores = found[f"onet/{VERDICTS['onet']}"][:, 1]
    best = int(scores.argmax())
    draw(photo, passed[best], found[LANDMARKS][best], DEMO / "face.png")
    print(f"\nonet: the square at row {passed[best][0]}, column {passed[best][1]} is a face with "
          f"probability {scores[best]:.3f}; see {DEMO / 'face.png'}")
    print(f"{time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
