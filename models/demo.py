"""MTCNN's cascade as one accelerator that finds the faces of a photo, landmarks included.

    python models/demo.py

P-Net at each size of the photo, R-Net and O-Net become one accelerator. A photo goes through its
simulated hardware, with MTCNN's host between the networks; what it finds is drawn, and compared
with what onnxruntime finds with the float models. Exit code 0: the same faces. Everything lands in
build/.
"""

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

import cascade
import faces
import mtcnn
import recipes


BUILD = pathlib.Path("build", "faces")
DEMO = pathlib.Path("build", "demo")
BOARD = "zcu102"
IO = "dram"  # how photos and results cross the accelerator's border
LEAST, MOST = 96, 300  # sides of the faces to be found, in pixels
# In frames per second: for each photo some squares go through R-Net, and few through O-Net.
TARGETS = {"pnet": 400, "rnet": 3000, "onet": 800}
OVERLAP, DISTANCE = 0.9, 2.0  # least and greatest, of boxes and of landmarks, that are the same


def run(*words: str | pathlib.Path) -> None:
    """Run fcnnx, and show the command."""
    print("\n$ fcnnx", *words, flush=True)
    done = subprocess.run([sys.executable, "-m", "fcnnx", *map(str, words)])
    if done.returncode:
        sys.exit(done.returncode)


def build(sizes: list[tuple[int, int]]) -> None:
    """One accelerator of all networks, for these sizes of the photo."""
    networks = {**{f"pnet_{k}": "pnet" for k in range(len(sizes))}, "rnet": "rnet", "onet": "onet"}
    run("build", "--models", *(f"{name}={os.path.relpath(recipes.locate(f'{model}_qdq.onnx'))}"
                               for name, model in networks.items()),
        "--shape", *(f"pnet_{k}/{mtcnn.INPUTS['pnet']}=1,{columns},{rows},3"
                     for k, (rows, columns) in enumerate(sizes)),
        "--board", BOARD, "--io", IO, "--objective", "resources",
        "--targets", *(f"{name}={TARGETS[model]}fps" for name, model in networks.items()),
        "--out", BUILD, "--force")


class Hardware:
    """The networks of the simulated accelerator.

    All of them run at once, as they would on a board: one that has nothing new to look at sees its
    last frame again, and black before that.
    """

    def __init__(self) -> None:
        self._last = {f"{name}/{mtcnn.INPUTS[name]}": faces.prepare(
            np.zeros((1, mtcnn.SIDES[name], mtcnn.SIDES[name], 3))) for name in ("rnet", "onet")}
        self._runs = 0

    def __call__(self, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by NETWORK/TENSOR, as :data:`cascade.Networks`."""
        self._runs += 1
        given, found = (DEMO / f"{kind}_{self._runs}.npz" for kind in ("inputs", "outputs"))
        np.savez(given, **{**self._last, **frames})
        run("simulate", BUILD, "--inputs", given, "--outputs", found)
        self._last |= {name: array[-1:] for name, array in frames.items()}
        networks = {name.partition("/")[0] for name in frames}
        with np.load(found) as file:
            return {name: file[name] for name in file.files
                    if name.partition("/")[0] in networks}


def same(hardware: cascade.Detection, exact: cascade.Detection) -> bool:
    """Whether two detections found the same faces; tells how near they are, face by face."""
    good = len(hardware.boxes) == len(exact.boxes) > 0
    print(f"\nonnxruntime with the float models finds {len(exact.boxes)} face(s), the hardware "
          f"{len(hardware.boxes)}")
    if not len(hardware.boxes):
        return False
    shared = cascade.overlaps(exact.boxes, hardware.boxes)
    for k, found in enumerate(shared.argmax(axis=1)):
        distances = np.hypot(*(exact.landmarks[k] - hardware.landmarks[found]).T)
        good &= shared[k, found] >= OVERLAP and distances.max() <= DISTANCE
        print(f"face {k + 1}: probability {hardware.scores[found]:.4f} (float "
              f"{exact.scores[k]:.4f}), intersection over union {shared[k, found]:.3f} (at least "
              f"{OVERLAP}), landmarks within {distances.max():.2f} pixels (at most {DISTANCE:.0f})")
    return bool(good)


def draw(photo: np.ndarray, found: cascade.Detection, path: pathlib.Path) -> None:
    """The photo with what each network let through: thin, thicker, and the faces with landmarks."""
    scale = 2
    picture = Image.fromarray(photo)
    picture = picture.resize((scale * picture.width, scale * picture.height), Image.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for boxes, colour, width in ((found.proposed, "white", 1), (found.refined, "orange", 2),
                                 (found.boxes, "cyan", 5)):
        for box in boxes:
            pen.rectangle(list(scale * box), outline=colour, width=width)
    for column, row in scale * found.landmarks.reshape(-1, 2):
        pen.ellipse([column - 6, row - 6, column + 6, row + 6], outline="black", fill="yellow",
                    width=2)
    picture.save(path)


def main() -> int:
    """Build, detect, compare, draw; gives the exit code."""
    start = time.monotonic()
    os.chdir(recipes.FOLDER.parent.parent)
    DEMO.mkdir(parents=True, exist_ok=True)
    photo = faces.PHOTO()
    sizes = cascade.pyramid(*photo.shape[:2], LEAST, MOST)
    print("Bringing and quantising the models; P-Net will see the photo at "
          + ", ".join(f"{columns}x{rows}" for rows, columns in sizes), flush=True)
    exact = cascade.detect(photo, cascade.onnx_networks(), LEAST, MOST)
    build(sizes)
    found = cascade.detect(photo, Hardware(), LEAST, MOST)
    print(f"\nP-Net proposes {len(found.proposed)} squares, R-Net lets {len(found.refined)} "
          f"through, O-Net finds {len(found.boxes)} face(s)")
    good = same(found, exact)
    draw(photo, found, DEMO / "faces.png")
    print(f"See {DEMO / 'faces.png'}; {time.monotonic() - start:.0f} s in all")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
