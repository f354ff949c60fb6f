# SPDX-License-Identifier: Apache-2.0
"""A head from the numbers in a face's JSON, with its photo's detail where there is the photo; no network is asked.

    FaceRecord ─► face model of its hash ─► albedo, surface in the photo's camera ─┬─► texture ─┐
    photo ─crop by the record's camera─────────────────────────────────────────────┘            ├─► GlbMesh
                                        └─► neutral head, morphs ───────────────────────────────┘

`export.py` is the command around it. With the photo, the head is the one that `reconstruct` wrote, at any texture size.
"""

import functools
from pathlib import Path

import numpy as np

from facefactor.apps.engines import SHIPPED_MODEL
from facefactor.apps.reconstruction import CROP_SIZE_PX
from facefactor.camera.pose import axis_angle_from_matrix, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.errors import IncompatibleCode
from facefactor.export.glb import GlbMesh
from facefactor.export.head import HeadMesher
from facefactor.export.photo_texture import PhotoTexture, crop_size_for
from facefactor.export.record import FaceRecord
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.correctives import corrected_model, load_correctives
from facefactor.face.model import FaceModel, load_face_model
from facefactor.fit.detail import DetailTransfer
from facefactor.infer.decoder import Decoder
from facefactor.photo.crop import crop_coverage, crop_image, similarity
from facefactor.photo.read import Photo


def model_of(record: FaceRecord, learned: Path | None = None) -> FaceModel:
    """Find the face model that a record's numbers are of: the shipped one, plain or corrected, or a learned one.

    Args:
        record: of one face.
        learned: file of a model that was learned; by default the one that is shipped.

    Raises:
        AssetMissing: the learned file is not there.
        IncompatibleCode: the numbers are of no model that is here.
    """
    plain = load_face_model()
    if record.model_hash == plain.model_hash:
        return plain
    path = learned or SHIPPED_MODEL
    corrected = _learned_model(path)
    if record.model_hash == corrected.model_hash:
        return corrected
    raise IncompatibleCode(
        f"the face is of the face model {record.model_hash}, those here are {plain.model_hash} and, of {path.name}, "
        f"{corrected.model_hash}: a learned model's file is named with --model"
    )


@functools.cache
def _learned_model(path: Path) -> FaceModel:
    return corrected_model(load_face_model(), load_correctives(path))


def code_of(record: FaceRecord) -> FaceCode[np.ndarray]:
    """The record's face in its photo's camera frame, float32."""
    code = FaceCode(
        shape=record.shape,
        expression=record.expression,
        reflectance=record.reflectance,
        rotation=axis_angle_from_matrix(record.camera.R),
        translation=record.camera.t,
        illumination=record.illumination,
        geometry_corrective=record.geometry_corrective,
        reflectance_corrective=record.reflectance_corrective,
    )
    return code.map(lambda part: part.astype(np.float32))


def described_head(record: FaceRecord, model: FaceModel, photo: Photo | None, texture_size: int) -> GlbMesh:
    """Make a record's head.

    Args:
        record: of one face.
        model: the one that its numbers are of.
        photo: the one that it was reconstructed from; None for a texture of the numbers alone.
        texture_size: width and height, pixels.
    """
    code, decoder, texture = code_of(record), Decoder.of(model), PhotoTexture(model, texture_size)
    albedo = subdivided_albedo(model, code.full_reflectance)
    if photo is None:
        return HeadMesher(model, decoder).mesh(code, texture.plain(albedo))
    (vertices_mm,) = decoder.vertices(code.full_shape[None], code.expression[None])
    surface = move_to_camera(model.subdivision @ vertices_mm, record.camera.R, record.camera.t).astype(np.float32)
    detail = DetailTransfer(model).compare(surface, albedo, code.illumination, *_crop(record, photo, CROP_SIZE_PX))
    K, fine_srgb, _ = _crop(record, photo, crop_size_for(texture_size))
    base = subdivided_albedo(model, code.reflectance)
    texture_srgb = texture.paint(base, albedo, detail, surface, code.illumination, K, fine_srgb)
    return HeadMesher(model, decoder).mesh(code, texture_srgb)


def _crop(record: FaceRecord, photo: Photo, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K, picture and coverage of the upright crop whose camera is the record's: around its principal point."""
    K_photo, K_crop = record.camera.K, crop_intrinsics(size)
    T_photo_crop = similarity(K_photo[:2, 2], K_photo[0, 0] / K_crop[0, 0], 0.0, size)
    return K_crop, crop_image(photo, T_photo_crop, size), crop_coverage(photo, T_photo_crop, size)
