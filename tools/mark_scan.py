# SPDX-License-Identifier: Apache-2.0
"""Mark the 51 inner landmarks of Lee Perry-Smith's scan: let the detector see renders of it, keep places on its mesh.

    python tools/mark_scan.py ../shared/data/scans src/facefactor/evaluate/lee_perry_smith_landmarks.json

Needs the extras `prepare` (mediapipe) and `dev` (trimesh). The scan (Infinite-Realities, CC-BY 3.0) has no marks of
its own. `face.build.landmarks.mark_landmarks` turns it to 15 views, and each place is the median over the views; the
face model's own 478 points were placed by the same detector in the same way, so the two can be compared.
"""

import json
import sys
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from facefactor.face.build.landmarks import embed, mark_landmarks
from facefactor.photo.colour import srgb_to_linear
from facefactor.photo.landmarks import IBUG_51_FROM_478

MM_PER_UNIT = 29.0 * 1.95
"""Brings the face to about life size, for the detector's pictures."""
FACE_CENTRE_UNITS = np.array([0.0, 0.95, 0.0])
"""Roughly between the eyes."""


def main(scans: Path, out: Path) -> None:
    """Write the landmarks of the scan in folder `scans` to `out`."""
    (scan,) = trimesh.load(scans / "LeePerrySmith.glb", process=False).geometry.values()
    vertices = (np.asarray(scan.vertices) - FACE_CENTRE_UNITS) * MM_PER_UNIT
    triangles = np.asarray(scan.faces)
    colours = _vertex_colours(scans / "LeePerrySmith_color.jpg", np.asarray(scan.visual.uv))
    places = mark_landmarks(vertices[None], srgb_to_linear(colours)[None], triangles, vertices)
    found = embed(places[list(IBUG_51_FROM_478)], vertices, triangles)
    marks = {
        "scan": "LeePerrySmith.glb (Infinite-Realities, CC-BY 3.0)",
        "landmarks": "51 inner iBUG points, by MediaPipe",
        "vertices": found.vertices.tolist(),
        "weights": found.weights.round(4).tolist(),
    }
    out.write_text(json.dumps(marks) + "\n")


def _vertex_colours(texture: Path, uv: np.ndarray) -> np.ndarray:
    """(V, 3) sRGB in [0, 1]."""
    picture = np.asarray(Image.open(texture).convert("RGB")) / 255.0
    height, width, _ = picture.shape
    rows = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    columns = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    return picture[rows, columns]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
