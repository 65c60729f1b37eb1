"""R-Net and O-Net as one accelerator that finds a face, from trained models to a picture.

    python models/demo.py

Builds the accelerator for a ZedBoard, runs labelled patches and squares of a photo through its
simulated hardware, compares what it sees with onnxruntime on the float models, and draws what it
found. Everything lands in build/.
"""

import json
import pathlib
import subprocess
import sys
import time

import faces
import mtcnn
import numpy as np
import onnxruntime
import recipes
from PIL import Image, ImageDraw


BUILD = recipes.FOLDER.parent / "faces"
FRAMES = recipes.FOLDER.parent / "demo"
NETWORKS = ("rnet", "onet")
VERDICTS = {"rnet": "softmax_1", "onet": "softmax_2"}
LANDMARKS = "onet/dense_6"  # five columns, then five rows, as shares of the square's side
THRESHOLD = 0.5


def run(*words: str | pathlib.Path) -> None:
    """Run fcnnx, and show the command."""
    print("\n$ fcnnx", *words, flush=True)
    subprocess.run([sys.executable, "-m", "fcnnx", *map(str, words)], check=True)


def float_verdicts(network: str, frames: np.ndarray) -> np.ndarray:
    """What onnxruntime says of the model as it was trained."""
    session = onnxruntime.InferenceSession(str(recipes.locate(f"{network}.onnx")),
                                           providers=["CPUExecutionProvider"])
    (verdicts,) = session.run([VERDICTS[network]], {mtcnn.INPUTS[network]: frames})
    return verdicts[:, 1] > THRESHOLD


def compare(network: str, hardware: np.ndarray, frames: np.ndarray, truth: np.ndarray) -> str:
    """One line on the labelled patches, which come first."""
    count = len(truth)
    verdicts = hardware[:count, 1] > THRESHOLD
    exact = float_verdicts(network, frames[:count])
    return (f"{network}: of {count} labelled patches, hardware and float model agree on "
            f"{(verdicts == exact).sum()}; right are hardware {(verdicts == truth).sum()}, "
            f"float {(exact == truth).sum()}")


def draw(photo: np.ndarray, square: np.ndarray, landmarks: np.ndarray, path: pathlib.Path) -> None:
    """The square and its surroundings, enlarged, with the five landmarks."""
    top, left, side = map(int, square)
    scale, margin = 4, side // 2
    box = (max(0, left - margin), max(0, top - margin),
           min(photo.shape[1], left + side + margin), min(photo.shape[0], top + side + margin))
    picture = Image.fromarray(photo).crop(box)
    picture = picture.resize((scale * picture.width, scale * picture.height), Image.LANCZOS)
    pen = ImageDraw.Draw(picture)

    def place(column: float, row: float) -> tuple[float, float]:
        return scale * (column - box[0]), scale * (row - box[1])

    pen.rectangle([place(left, top), place(left + side, top + side)], outline="cyan", width=3)
    for column, row in zip(landmarks[:5], landmarks[5:], strict=True):
        x, y = place(left + column * side, top + row * side)
        pen.ellipse([x - 9, y - 9, x + 9, y + 9], outline="black", fill="yellow", width=2)
    picture.save(path)


def main() -> None:
    """Build, simulate, compare, draw."""
    start = time.monotonic()
    FRAMES.mkdir(parents=True, exist_ok=True)
    photo, squares = faces.PHOTO(), faces.crops(faces.PHOTO())
    with np.load(recipes.locate("photo.npz")) as file:
        crops = dict(file)
    labelled = {name: faces.labelled(mtcnn.SIDES[name]) for name in NETWORKS}
    frames = {name: np.concatenate([labelled[name][0], crops[f"{name}/{mtcnn.INPUTS[name]}"]])
              for name in NETWORKS}
    np.savez(FRAMES / "frames.npz", **{f"{name}/{mtcnn.INPUTS[name]}": frames[name]
                                       for name in NETWORKS})
    data = {"rnet": recipes.locate("faces24.npz"), "onet": recipes.locate("faces48.npz")}
    run("build", "--models", *(recipes.locate(f"{name}.onnx") for name in NETWORKS),
        "--board", "zedboard", "--calibration", *(f"{name}={path}" for name, path in data.items()),
        "--out", BUILD, "--force")
    run("simulate", BUILD, "--inputs", FRAMES / "frames.npz", "--outputs", FRAMES / "found.npz")

    with np.load(FRAMES / "found.npz") as file:
        found = dict(file)
    print()
    verdicts = {name: found[f"{name}/{VERDICTS[name]}"] for name in NETWORKS}
    for name in NETWORKS:
        print(compare(name, verdicts[name], frames[name], labelled[name][1]))
    seen = np.prod([verdicts[name][-len(squares):, 1] for name in NETWORKS], axis=0)
    best = int(np.argmax(seen))
    picture = FRAMES / "face.png"
    draw(photo, squares[best], found[LANDMARKS][-len(squares):][best], picture)
    simulation = json.loads((BUILD / "simulation.json").read_text())
    print(f"Of {len(squares)} squares of the photo, row {squares[best][0]}, column "
          f"{squares[best][1]} is a face with {seen[best]:.3f}: {picture}")
    print(f"{simulation['cycles']} cycles simulated; {time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
