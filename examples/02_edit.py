# SPDX-License-Identifier: Apache-2.0
"""Another expression, a wider face, and both with a light from the right, back in the photo.

python examples/02_edit.py PHOTO OUT_FOLDER
"""

import sys
from pathlib import Path

from PIL import Image

import facefactor


def main(photo: Path, out: Path) -> None:
    """Write one picture for each edit."""
    (face,) = facefactor.reconstruct(photo)
    surprised = face.with_expression(jawOpen=0.5, browInnerUp=0.8, eyeWideLeft=0.6, eyeWideRight=0.6)
    edits = {
        "asleep": face.with_expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0),
        "surprised": surprised,
        "other_shape": face.with_shape({0: face.record.shape[0] + 1.5}),
        "all": surprised.with_light("right"),
    }
    for name, edited in edits.items():
        Image.fromarray(edited.picture()).save(out / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
