# SPDX-License-Identifier: Apache-2.0
"""`facefactor export`: a face's JSON in, its head as GLB, OBJ, PLY or USD out.

All files of a call appear together, or none does. Standard output gets one line that names them, and what the texture
was painted from.
"""

import argparse

from facefactor.api import load_face
from facefactor.export.atomic import write_together
from facefactor.export.head_files import encode_heads


def run(options: argparse.Namespace) -> int:
    """Export the face of the command line and return the exit code.

    Raises:
        AssetMissing: the JSON is not there.
        IncompatibleCode: it is no face of this version, one of another face model, or one of another photo.
        PhotoUnreadable: the named photo cannot be read.
        MissingExtra: a format needs something that is not installed.
        OutputUnwritable: a file cannot be written.
    """
    face = load_face(options.face, options.photo, options.model)
    write_together(encode_heads(options.out, face.head(options.texture)))
    source = "the numbers alone" if face.photo is None else str(face.photo.path)
    print(f"{options.face} → {' '.join(map(str, options.out))} (texture {options.texture} px, from {source})")
    return 0
