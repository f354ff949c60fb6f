# SPDX-License-Identifier: Apache-2.0
"""One photo to reconstructed faces in memory, by any engine and without torch.

    photo ─find─► boxes, landmarks ─crop─► engine ─► FaceCode ─┬─ photo's camera, light, landmarks ──► FaceRecord (JSON)
                                                               ├─ subdivided head, morphs, texture ──► GlbMesh (GLB)
                                                               └─ pictures side by side ─────────────► row (PNG)

`reconstruct.py` is the command around it and writes the files.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facefactor.apps.cli import DEFAULT_ENGINE
from facefactor.apps.engines import open_engine, open_landmark_detector
from facefactor.camera.pose import euler_deg_from_matrix, matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import PhotoCamera, crop_intrinsics, in_plane_rotation, photo_camera
from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.errors import PhotoError
from facefactor.export.glb import GlbMesh
from facefactor.export.head import HeadMesher
from facefactor.export.photo_texture import PhotoTexture, crop_size_for
from facefactor.export.record import (
    FARTHEST_HEAD_MM,
    LARGEST,
    NEAREST_HEAD_MM,
    CameraRecord,
    FaceBoxPx,
    FaceRecord,
    Quality,
)
from facefactor.export.row import lay_out_row
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.fade import face_opacity
from facefactor.face.linear_bases import bound_mouth_close
from facefactor.face.model import FaceModel, load_face_model
from facefactor.fit.detail import DetailTransfer, SkinDetail
from facefactor.infer.decoder import Decoder
from facefactor.infer.engine import Engine
from facefactor.light.spherical_harmonics import rotate_light
from facefactor.photo.crop import crop_to_photo
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.detect import FaceBox
from facefactor.photo.find import FoundFace, find_faces
from facefactor.photo.landmarks import IBUG_51_FROM_478, LandmarkDetector
from facefactor.photo.read import Photo
from facefactor.render.skin_error import VisibleSkin
from facefactor.render.views import PosedFace, render_views

CROP_SIZE_PX = 224
"""Side of the crop that is fitted and whose detail is taken."""
PICTURE_SIZE_PX = 256
"""Side of each picture in the row."""
TEXTURE_SIZE_PX = 1024
HALF_CONFIDENCE_LANDMARK = 0.06
"""Landmark error, over √area of the face box, that halves the confidence; good fits have 0.01."""
HALF_CONFIDENCE_PHOTOMETRIC = 0.25
"""Photometric error that halves the confidence; good fits have 0.05."""


@dataclass(frozen=True, eq=False)
class DescribedFace:
    """A cropped face with its code, and what that decodes to."""

    crop: CroppedFace
    code: FaceCode[np.ndarray]
    """One face in the crop's camera."""
    vertices_mm: np.ndarray
    """(V, 3) native, head frame."""
    landmarks68_px: np.ndarray
    """(68, 2) iBUG points, pixels of the photo."""
    landmarks478_px: np.ndarray
    """(478, 2) MediaPipe points, pixels of the photo."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """One face of a photo with everything that is written about it."""

    record: FaceRecord
    mesh: GlbMesh
    row_srgb: np.ndarray
    """(256, about 2076, 3) uint8: crop, overlay, geometry, albedo, shading, three relit views."""
    described: DescribedFace
    skin: VisibleSkin
    """What the photometric error is of."""


class Reconstructor:
    """Reconstructs the faces of photos; holds what does not change from photo to photo.

    Args:
        model: the face model for the default engine, the shipped one by default; another engine has its own.
        engine: what describes faces; the default one by default.
        landmark_detector: the default one by default.

    Raises:
        MissingExtra: the default engine or detector is wanted and something it needs is not installed.
        AssetMissing: the default engine is wanted and its weights are not there.
    """

    def __init__(
        self,
        model: FaceModel | None = None,
        engine: Engine | None = None,
        landmark_detector: LandmarkDetector | None = None,
    ) -> None:
        self.engine = engine or open_engine(DEFAULT_ENGINE, model or load_face_model())
        self.model = self.engine.model
        self._landmark_detector = landmark_detector or open_landmark_detector()
        self._decoder = Decoder.of(self.model)
        self._detail = DetailTransfer(self.model)
        self._opacity = self.model.subdivision @ face_opacity(self.model)
        self._texture = PhotoTexture(self.model, TEXTURE_SIZE_PX)
        self._mesher = HeadMesher(self.model, self._decoder)

    def reconstruct(self, photo: Photo, which: Literal["largest", "all"] = "largest") -> list[Reconstruction]:
        """Reconstruct the largest face of a photo, or all of them, the largest first.

        Raises:
            NoFaceFound: there is none.
            PhotoError: the engine came to no plausible answer for a face.
        """
        return [self._reconstruct_face(photo, found) for found in self.find(photo, which)]

    def records(self, photo: Photo, which: Literal["largest", "all"] = "largest") -> list[FaceRecord]:
        """The numbers alone of what `reconstruct` gives, in a fifth of the time; see there."""
        return [self._record_face(photo, found) for found in self.find(photo, which)]

    def find(self, photo: Photo, which: Literal["largest", "all"] = "largest") -> list[FoundFace]:
        """Find the faces to reconstruct; see `find_faces`."""
        return find_faces(photo, which, landmark_detector=self._landmark_detector)

    def describe(self, crop: CroppedFace) -> DescribedFace:
        """Ask the engine for a face's code, and decode it.

        Raises:
            PhotoError: the engine's answer is not finite, beyond the bounds of a record, or behind the camera.
        """
        code = self.engine.describe(crop)
        if not _is_plausible(code):
            photo = crop.photo
            raise PhotoError(f"{photo.path or photo.name}: the engine came to no plausible answer for the face found")
        code = code.with_expression(bound_mouth_close(code.expression))
        decoded = self._decoder.decode(code.map(lambda part: part[None]))
        T_photo_crop = crop.transform_at(ENCODER_CROP_PX)
        landmarks = (
            crop_to_photo(points[0], T_photo_crop) for points in (decoded.landmarks68_px, decoded.landmarks478_px)
        )
        return DescribedFace(crop, code, decoded.vertices_mm[0], *landmarks)

    def albedo(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """(S, 3) linear albedo at the subdivided vertices, of which the first V are the native ones."""
        return subdivided_albedo(self.model, code.full_reflectance)

    def skin(self, face: DescribedFace) -> VisibleSkin:
        """The skin over which the photometric error is taken."""
        crop = face.crop
        vertices_camera = _posed(face.vertices_mm, face.code)
        return VisibleSkin.of(self.model, vertices_camera, crop_intrinsics(crop.size), crop.srgb, crop.coverage)

    def record(self, face: DescribedFace, photometric: float) -> FaceRecord:
        """Carry a face's numbers from the crop to the photo, in double precision."""
        code, crop = face.code.map(lambda part: part.astype(np.float64)), face.crop
        photo, box = crop.photo, crop.found.box
        R, K_crop = matrix_from_axis_angle(code.rotation), crop_intrinsics(crop.size)
        inner = list(IBUG_51_FROM_478)
        offsets_px = face.landmarks478_px[inner] - crop.found.landmarks.points_px[inner]
        landmark_px = float(np.linalg.norm(offsets_px, axis=1).mean())
        return FaceRecord(
            photo_name=photo.name,
            photo_width=photo.width,
            photo_height=photo.height,
            engine=self.engine.name,
            weights_hash=self.engine.weights_hash,
            model_hash=self.model.model_hash,
            face_box_px=FaceBoxPx(box.x, box.y, box.width, box.height),
            camera=_camera_record(photo_camera(crop.T_photo_crop, K_crop, R, code.translation)),
            shape=code.shape,
            expression=code.expression,
            reflectance=code.reflectance,
            illumination=rotate_light(code.illumination, in_plane_rotation(crop.T_photo_crop)),
            geometry_corrective=code.geometry_corrective,
            reflectance_corrective=code.reflectance_corrective,
            landmarks_68_px=face.landmarks68_px,
            quality=Quality(photometric, landmark_px, confidence(box, landmark_px, photometric)),
        )

    def detail(self, face: DescribedFace, albedo_linear: np.ndarray) -> SkinDetail:
        """The photo's detail at the subdivided vertices, beyond their albedo (S, 3)."""
        crop = face.crop
        view = (crop_intrinsics(crop.size), crop.srgb, crop.coverage)
        return self._detail.compare(self._surface(face), albedo_linear, face.code.illumination, *view)

    def pose(self, face: DescribedFace, albedo_linear: np.ndarray) -> PosedFace:
        """The subdivided head before the crop's camera, in an albedo (S, 3)."""
        triangles = self.model.triangles_subdivided
        return PosedFace(self._surface(face), albedo_linear, face.code.illumination, triangles, self._opacity)

    def mesh(self, code: FaceCode[np.ndarray], albedo_linear: np.ndarray) -> GlbMesh:
        """The head to be written, in an albedo (S, 3)."""
        return self._mesher.mesh(code, self._texture.plain(albedo_linear))

    def painted_mesh(self, face: DescribedFace, albedo_linear: np.ndarray, detail: SkinDetail) -> GlbMesh:
        """The head to be written, its texture painted with the photo's detail and completed.

        Args:
            face: as `describe` gives it.
            albedo_linear: (S, 3), without the detail.
            detail: as `detail` gives it.
        """
        size, code = crop_size_for(TEXTURE_SIZE_PX), face.code
        view = (crop_intrinsics(size), face.crop.srgb_at(size))
        base = subdivided_albedo(self.model, code.reflectance)
        texture = self._texture.paint(base, albedo_linear, detail, self._surface(face), code.illumination, *view)
        return self._mesher.mesh(code, texture)

    def row(self, face: PosedFace, crop: CroppedFace) -> np.ndarray:
        """The row of pictures, uint8."""
        crop_srgb = crop.srgb_at(PICTURE_SIZE_PX)
        return lay_out_row([crop_srgb, *render_views(face, crop_intrinsics(PICTURE_SIZE_PX), crop_srgb)])

    def _record_face(self, photo: Photo, found: FoundFace) -> FaceRecord:
        face = self.describe(CroppedFace.of(photo, found, CROP_SIZE_PX))
        return self.record(face, self.skin(face).error(self.albedo(face.code), face.code.illumination))

    def _reconstruct_face(self, photo: Photo, found: FoundFace) -> Reconstruction:
        face = self.describe(CroppedFace.of(photo, found, CROP_SIZE_PX))
        albedo, skin = self.albedo(face.code), self.skin(face)
        detail = self.detail(face, albedo)
        return Reconstruction(
            record=self.record(face, skin.error(albedo, face.code.illumination)),
            mesh=self.painted_mesh(face, albedo, detail),
            row_srgb=self.row(self.pose(face, detail.applied_to(albedo)), face.crop),
            described=face,
            skin=skin,
        )

    def _surface(self, face: DescribedFace) -> np.ndarray:
        """(S, 3) the subdivided vertices before the crop's camera."""
        return _posed(self.model.subdivision @ face.vertices_mm, face.code)


def confidence(box: FaceBox, landmark_px: float, photometric: float) -> float:
    """Say how far to trust a reconstruction, in [0, 1]; it falls with either error and rises with the detector's trust.

        confidence = c / ((1 + (e_l / 0.06)²) (1 + (e_p / 0.25)²))

    with c the detector's confidence, e_l the landmark error over √area of the box and e_p the photometric error. It
    orders results; it is no probability.
    """
    landmark = landmark_px / math.sqrt(box.area_px2) / HALF_CONFIDENCE_LANDMARK
    colour = photometric / HALF_CONFIDENCE_PHOTOMETRIC
    return min(max(box.confidence, 0.0), 1.0) / ((1.0 + landmark**2) * (1.0 + colour**2))


def _is_plausible(code: FaceCode[np.ndarray]) -> bool:
    """Whether a record can hold the code, however the photo's camera turns its light."""
    light, t = (part.astype(np.float64) for part in (code.illumination, code.translation))
    light_length = np.linalg.norm(light, axis=0)
    parts = {name: light_length if name == "illumination" else getattr(code, name) for name in LARGEST}
    bounded = all(np.abs(parts[name]).max(initial=0.0) <= largest for name, largest in LARGEST.items())
    before = t[2] <= -NEAREST_HEAD_MM and np.linalg.norm(t) <= FARTHEST_HEAD_MM
    return bool(bounded and before and np.isfinite(code.pack()).all())


def _posed(vertices_mm: np.ndarray, code: FaceCode[np.ndarray]) -> np.ndarray:
    """Vertices of the head frame before the crop's camera."""
    return move_to_camera(vertices_mm, matrix_from_axis_angle(code.rotation), code.translation)


def _camera_record(camera: PhotoCamera[np.ndarray]) -> CameraRecord:
    yaw_deg, pitch_deg, roll_deg = euler_deg_from_matrix(camera.R).tolist()
    return CameraRecord(
        K=camera.K,
        R=camera.R,
        t=camera.t,
        yaw_deg=yaw_deg,
        pitch_deg=pitch_deg,
        roll_deg=roll_deg,
        distance_mm=float(np.linalg.norm(camera.t)),
    )
