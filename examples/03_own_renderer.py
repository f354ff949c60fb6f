# SPDX-License-Identifier: Apache-2.0
"""The numbers in other programs: vertices in the photo's pixels, and colours under the light, with numpy alone.

python examples/03_own_renderer.py PHOTO OUT_FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import facefactor


def main(photo: Path, out: Path) -> None:
    """Draw every vertex of the face's front over its photo."""
    (face,) = facefactor.reconstruct(photo)
    camera = face.record.camera
    x, y, z = (face.vertices_mm @ camera.R.T + camera.t).T
    pixels = (camera.K @ np.stack([x / -z, -y / -z, np.ones_like(x)]))[:2].T
    picture = Image.open(photo).convert("RGB")
    drawing = ImageDraw.Draw(picture)
    for column, row in pixels[z > np.median(z)]:
        drawing.point((column, row), fill=(0, 255, 160))
    picture.save(out / "vertices.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
