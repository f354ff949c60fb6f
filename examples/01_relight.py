# SPDX-License-Identifier: Apache-2.0
"""The photo itself under other lights: presets, and a lamp that goes around the head.

python examples/01_relight.py PHOTO OUT_FOLDER
"""

import sys
from pathlib import Path

from PIL import Image

import facefactor


def main(photo: Path, out: Path) -> None:
    """Write one picture for each light."""
    (face,) = facefactor.reconstruct(photo)
    for name in ("left", "sunset", "top"):
        Image.fromarray(face.relight(name)).save(out / f"{name}.png")
    for azimuth_deg in (-60, 0, 60):
        Image.fromarray(face.relight((azimuth_deg, 20))).save(out / f"lamp_{azimuth_deg}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
