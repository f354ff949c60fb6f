# SPDX-License-Identifier: Apache-2.0
"""Draw photos with their faces edited: a row for each photo, the photo first and then one picture for each edit.

    python tools/draw_edits.py PHOTO… --environment FILE.hdr --out edits.png

The edits: light from the left, sunset, the environment map, a smile, closed eyes, and the skin of the next photo.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import facefactor
from facefactor.api import Face
from facefactor.export.atomic import encode_png, write_bytes

PICTURE_PX = 200
SHOWN = 0.56
"""Half the side of what is shown of a photo, in heights of the face's box."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--environment", required=True, type=Path, help=".hdr or .exr panorama")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    faces = [facefactor.reconstruct(path)[0] for path in options.photos]
    edits: list[Callable[[Face, Face], Face]] = [
        lambda face, other: face,
        lambda face, other: face.with_light("left"),
        lambda face, other: face.with_light("sunset"),
        lambda face, other: face.with_light(str(options.environment)),
        lambda face, other: face.with_expression(mouthSmileLeft=0.8, mouthSmileRight=0.8, cheekSquintLeft=0.3),
        lambda face, other: face.with_expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0),
        lambda face, other: face.with_reflectance_of(other),
    ]
    rows = [
        np.concatenate([shown(edit(face, other)) for edit in edits], axis=1)
        for face, other in zip(faces, faces[1:] + faces[:1], strict=True)
    ]
    write_bytes(options.out, encode_png(np.concatenate(rows)))


def shown(face: Face) -> np.ndarray:
    """The picture of a face, cut around its box."""
    box = face.record.face_box_px
    across, down, half = box.x + box.width / 2, box.y + box.height / 2, SHOWN * box.height
    edges = [round(edge) for edge in (across - half, down - half, across + half, down + half)]
    return np.asarray(Image.fromarray(face.picture()).crop(tuple(edges)).resize((PICTURE_PX, PICTURE_PX)))


if __name__ == "__main__":
    main()
