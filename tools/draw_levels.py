# SPDX-License-Identifier: Apache-2.0
"""Draw both levels of the engine `multilevel` side by side: what the learned corrections add to a face.

    python tools/draw_levels.py PHOTO… --out levels.png

A row for each photo: the photo, the base level over it, the final level over it, albedo of both, geometry of both. The
albedo is that of the code alone, without the photo's own detail.
"""

import argparse
from pathlib import Path

import numpy as np

from facefactor.apps.engines import MULTILEVEL, open_engine
from facefactor.apps.reconstruction import CROP_SIZE_PX, Reconstructor
from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.export.atomic import encode_png, write_bytes
from facefactor.face.fade import face_opacity
from facefactor.face.linear_bases import bound_mouth_close
from facefactor.face.model import FaceModel, load_face_model
from facefactor.infer.decoder import Decoder
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.read import read_photo
from facefactor.render.views import PosedFace, render_views

PICTURE_PX = 192
OVERLAY, GEOMETRY, ALBEDO = 0, 1, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, help="a learned model; the shipped one by default")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    model = load_face_model()
    engine = open_engine(MULTILEVEL, model, learned=options.model)
    reconstructor, rows = Reconstructor(model, engine), []
    for path in options.photos:
        photo = read_photo(path)
        face = CroppedFace.of(photo, reconstructor.find(photo)[0], CROP_SIZE_PX)
        final, crop = engine.describe(face), face.srgb_at(PICTURE_PX).astype(np.float32)
        levels = [views_of(model, final.without_corrections(), crop), views_of(engine.model, final, crop)]
        pictures = [level[view] for view in (OVERLAY, ALBEDO, GEOMETRY) for level in levels]
        rows.append(np.concatenate([crop, *pictures], axis=1))
    write_bytes(options.out, encode_png(np.rint(255 * np.concatenate(rows).clip(0, 1)).astype(np.uint8)))


def views_of(model: FaceModel, code: FaceCode[np.ndarray], crop: np.ndarray) -> list[np.ndarray]:
    """The pictures of one code, over its crop."""
    code = code.with_expression(bound_mouth_close(code.expression))
    decoded = Decoder.of(model).decode(code.map(lambda part: part[None]))
    R = matrix_from_axis_angle(code.rotation)
    vertices = move_to_camera(decoded.vertices_mm[0], R, code.translation)
    posed = PosedFace(vertices, decoded.albedo_linear[0], code.illumination, model.triangles, face_opacity(model))
    return list(render_views(posed, crop_intrinsics(PICTURE_PX), crop))


if __name__ == "__main__":
    main()
