# SPDX-License-Identifier: Apache-2.0
"""A photo in, a face out: its numbers, its mesh, its head as a file.

python examples/00_first_face.py PHOTO OUT_FOLDER
"""

import sys
from pathlib import Path

import facefactor


def main(photo: Path, out: Path) -> None:
    """Describe the largest face of a photo."""
    (face,) = facefactor.reconstruct(photo)
    camera = face.record.camera
    print(f"turned by {camera.yaw_deg:.0f}° (yaw), {camera.pitch_deg:.0f}° (pitch), {camera.roll_deg:.0f}° (roll)")
    strongest = sorted(face.expression.items(), key=lambda item: -item[1])[:3]
    print("expression: " + ", ".join(f"{name} {weight:.2f}" for name, weight in strongest))
    print(f"mesh: {len(face.vertices_mm)} vertices, {len(face.triangles)} triangles, millimetres")
    print(f"confidence: {face.record.quality.confidence:.2f}")
    face.save(out / "face.json")
    face.export(out / "face.glb")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
