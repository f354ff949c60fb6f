# SPDX-License-Identifier: Apache-2.0
"""A head from the numbers in a face's JSON, with its photo's detail where there is the photo; no network is asked.

    FaceRecord ─┬─► albedo, surface in the photo's camera ─┬─► texture ─┐
    photo ──────│──crop by the record's camera─────────────┘            ├─► GlbMesh
                └─► neutral head, morphs ───────────────────────────────┘

`export.py` is the command around it, and `Face.export` of the Python interface calls it. With the photo, the head is
the one that `reconstruct` wrote, at any texture size.
"""

import numpy as np

from facefactor.apps.reconstruction import CROP_SIZE_PX
from facefactor.camera.projection import crop_intrinsics
from facefactor.edit.posed_head import code_of, pose_head
from facefactor.export.glb import GlbMesh
from facefactor.export.head import HeadMesher
from facefactor.export.photo_texture import PhotoTexture, crop_size_for
from facefactor.export.record import FaceRecord
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.model import FaceModel
from facefactor.fit.detail import DetailTransfer
from facefactor.infer.decoder import Decoder
from facefactor.photo.crop import crop_coverage, crop_image, similarity
from facefactor.photo.read import Photo


def described_head(
    record: FaceRecord, model: FaceModel, photo: Photo | None, texture_size: int, seen: FaceRecord | None = None
) -> GlbMesh:
    """Make a record's head.

    Args:
        record: of one face.
        model: the one that its numbers are of.
        photo: that shows the face; None for a texture of the numbers alone.
        texture_size: width and height, pixels.
        seen: the face as the photo shows it, where the record was edited since.
    """
    code, decoder, texture = code_of(record), Decoder.of(model), PhotoTexture(model, texture_size)
    base, corrected = (subdivided_albedo(model, part) for part in (code.reflectance, code.full_reflectance))
    if photo is None:
        return HeadMesher(model, decoder).mesh(code, texture.plain(corrected))
    seen = seen or record
    head = pose_head(model, decoder, code_of(seen))
    posed = (head.vertices_camera.astype(np.float32), head.illumination)
    K, crop_srgb, coverage = _crop(seen, photo, CROP_SIZE_PX)
    detail = DetailTransfer(model).compare(posed[0], head.albedo_linear, posed[1], K, crop_srgb, coverage)
    K, fine_srgb, _ = _crop(seen, photo, crop_size_for(texture_size))
    return HeadMesher(model, decoder).mesh(code, texture.paint(base, corrected, detail, *posed, K, fine_srgb))


def _crop(record: FaceRecord, photo: Photo, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K, picture and coverage of the upright crop whose camera is the record's: around its principal point."""
    K_photo, K_crop = record.camera.K, crop_intrinsics(size)
    T_photo_crop = similarity(K_photo[:2, 2], K_photo[0, 0] / K_crop[0, 0], 0.0, size)
    return K_crop, crop_image(photo, T_photo_crop, size), crop_coverage(photo, T_photo_crop, size)
