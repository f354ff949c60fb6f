# SPDX-License-Identifier: Apache-2.0
"""One photo to reconstructed faces in memory, by the engine `fit`; needs the extras `train` and `prepare`.

    photo ─find─► boxes, landmarks ─crop─► fit ─► FaceCode ─┬─ photo's camera, light, landmarks ──► FaceRecord (JSON)
                                                            ├─ subdivided head, morphs, texture ──► GlbMesh (GLB)
                                                            └─ pictures side by side ─────────────► row (PNG)

`reconstruct.py` is the command around it and writes the files.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.camera.pose import euler_deg_from_matrix, matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import PhotoCamera, crop_intrinsics, in_plane_rotation, photo_camera, project_points
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import PhotoError
from facefactor.export.glb import GlbMesh
from facefactor.export.record import CameraRecord, FaceBoxPx, FaceRecord, Quality
from facefactor.export.row import lay_out_row
from facefactor.export.texture import bake_albedo
from facefactor.face.adjacency import adjacency_matrix, triangle_sides
from facefactor.face.landmarks import NUM_CONTOUR, contour_paths, read_contour, read_points
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace, bound_mouth_close
from facefactor.fit.detail import DetailTransfer
from facefactor.fit.fit import FaceFit, FaceFitter
from facefactor.fit.objective import FitSettings
from facefactor.light.spherical_harmonics import rotate_light
from facefactor.photo.crop import (
    crop_coverage,
    crop_image,
    face_crop,
    photo_to_crop,
    similarity_scale,
)
from facefactor.photo.detect import FaceBox
from facefactor.photo.find import FoundFace, find_faces
from facefactor.photo.landmarks import LandmarkDetector
from facefactor.photo.mediapipe_landmarks import MediaPipeLandmarks
from facefactor.photo.read import Photo
from facefactor.render.views import PosedFace, render_views

ENGINE = "fit"
CROP_SIZE_PX = 224
"""Side of the crop that is fitted."""
PICTURE_SIZE_PX = 256
"""Side of each picture in the row."""
TEXTURE_SIZE_PX = 1024
HALF_CONFIDENCE_LANDMARK = 0.06
"""Landmark error, over √area of the face box, that halves the confidence; good fits have 0.01."""
HALF_CONFIDENCE_PHOTOMETRIC = 0.25
"""Photometric error that halves the confidence; good fits have 0.05."""
OVERLAY_REGIONS = ("face", "left_socket", "right_socket", "left_lid_margin", "right_lid_margin", "mouth_lining")
"""The skin that is drawn over the photo, hidden parts included; eyes, teeth and tongue are drawn too."""
FADE_STEPS = 6
"""Rings of native vertices over which the face fades into the photo."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """One face of a photo with everything that is written about it."""

    record: FaceRecord
    mesh: GlbMesh
    row_srgb: np.ndarray
    """(256, about 2076, 3) uint8: crop, overlay, geometry, albedo, shading, three relit views."""
    found: FoundFace
    fit: FaceFit
    """In the camera of the crop."""
    T_photo_crop: np.ndarray
    """(3, 3) pixels of the fitted crop to pixels of the photo."""


class Reconstructor:
    """Reconstructs the faces of photos; holds what does not change from photo to photo.

    Args:
        model: the face model; the shipped one by default.
        settings: of the fit; the tuned ones by default.
        landmark_detector: MediaPipe by default.

    Raises:
        MissingExtra: MediaPipe is wanted and not installed.
    """

    def __init__(
        self,
        model: FaceModel | None = None,
        settings: FitSettings | None = None,
        landmark_detector: LandmarkDetector | None = None,
    ) -> None:
        self.model = load_face_model() if model is None else model
        self._landmark_detector = landmark_detector or MediaPipeLandmarks()
        self._fitter = FaceFitter(self.model, settings)
        self._face = MorphableFace(self.model)
        self._detail = DetailTransfer(self.model, self._face)
        self._contour = contour_paths(self.model)
        self._triangles = torch.from_numpy(self.model.triangles_subdivided).long()
        self._opacity = self._face.subdivide(overlay_opacity(self.model)[None, :, None])[0, :, 0]

    def reconstruct(self, photo: Photo, which: Literal["largest", "all"] = "largest") -> list[Reconstruction]:
        """Reconstruct the largest face of a photo, or all of them, the largest first.

        The same photo gives the same numbers, whatever ran before and however many threads torch has.

        Raises:
            NoFaceFound: there is none.
            PhotoError: the fit of a face came to no finite answer.
        """
        faces = find_faces(photo, which, landmark_detector=self._landmark_detector)
        with _one_thread(), torch.no_grad():
            return [self._reconstruct_face(photo, found) for found in faces]

    def _reconstruct_face(self, photo: Photo, found: FoundFace) -> Reconstruction:
        T_photo_crop = face_crop(found.landmarks, CROP_SIZE_PX)
        crop_srgb = torch.from_numpy(crop_image(photo, T_photo_crop, CROP_SIZE_PX))
        coverage = torch.from_numpy(crop_coverage(photo, T_photo_crop, CROP_SIZE_PX))
        fit = self._fit(found, T_photo_crop, crop_srgb, coverage)
        if not torch.isfinite(fit.code.pack()).all():
            raise PhotoError(f"{photo.path or photo.name}: the fit came to no finite answer for the face found")
        code = fit.code.with_expression(bound_mouth_close(fit.code.expression))
        albedo_linear = self._detail.albedo(code, crop_srgb, fit.K, coverage)
        return Reconstruction(
            record=self._record(photo, found, replace(fit, code=code), T_photo_crop),
            mesh=self._mesh(code, albedo_linear),
            row_srgb=self._row(photo, code, albedo_linear, T_photo_crop),
            found=found,
            fit=fit,
            T_photo_crop=T_photo_crop,
        )

    def _fit(self, found: FoundFace, T_photo_crop: np.ndarray, crop_srgb: Tensor, coverage: Tensor) -> FaceFit:
        landmarks_px = photo_to_crop(found.landmarks.points_px, T_photo_crop)
        with torch.enable_grad():
            return self._fitter.fit(
                crop_srgb,
                torch.from_numpy(landmarks_px).float(),
                torch.from_numpy(found.landmarks.visibility).float(),
                coverage,
            )

    def _record(self, photo: Photo, found: FoundFace, fit: FaceFit, T_photo_crop: np.ndarray) -> FaceRecord:
        """Carry the fit from the crop to the photo, in double precision."""
        code = fit.code.map(torch.Tensor.double)
        transform = torch.from_numpy(T_photo_crop)
        K_crop = crop_intrinsics(CROP_SIZE_PX, dtype=torch.float64)
        camera = photo_camera(transform, K_crop, matrix_from_axis_angle(code.rotation), code.translation)
        parts = code.to_numpy()
        landmark_px = fit.landmark_px * similarity_scale(T_photo_crop)
        return FaceRecord(
            photo_name=photo.name,
            photo_width=photo.width,
            photo_height=photo.height,
            engine=ENGINE,
            weights_hash=None,
            model_hash=self.model.model_hash,
            face_box_px=FaceBoxPx(found.box.x, found.box.y, found.box.width, found.box.height),
            camera=_camera_record(camera),
            shape=parts.shape,
            expression=parts.expression,
            reflectance=parts.reflectance,
            illumination=rotate_light(code.illumination, in_plane_rotation(transform)).numpy(),
            geometry_corrective=parts.geometry_corrective,
            reflectance_corrective=parts.reflectance_corrective,
            landmarks_68_px=self._landmarks_68_px(fit.code, camera),
            quality=Quality(fit.photometric, landmark_px, confidence(found.box, landmark_px, fit.photometric)),
        )

    def _landmarks_68_px(self, code: FaceCode[Tensor], camera: PhotoCamera) -> np.ndarray:
        """The 68 iBUG points in the photo: the outline as the photo's camera sees it, then the fixed inner points."""
        vertices = self._face.vertices(code.shape[None], code.expression[None]).double()
        posed = move_to_camera(vertices, camera.R[None], camera.t[None])
        corners = torch.from_numpy(self.model.landmarks68_vertices).long()[NUM_CONTOUR:]
        weights = torch.from_numpy(self.model.landmarks68_weights)[NUM_CONTOUR:].double()
        points = torch.cat(
            (read_contour(posed, camera.R[None], self._contour), read_points(posed, corners, weights)), 1
        )
        return project_points(points, camera.K)[0].numpy()

    def _mesh(self, code: FaceCode[Tensor], albedo_linear: Tensor) -> GlbMesh:
        """The refined head of this identity with its expressions as morphs, opening with the face's own."""
        model, face = self.model, self._face
        albedo = albedo_linear.numpy()
        return GlbMesh(
            vertices_mm=face.subdivide(face.neutral(code.shape[None]))[0].numpy(),
            triangles=model.triangles_subdivided,
            uv=model.uv_subdivided,
            uv_triangles=model.uv_triangles_subdivided,
            texture_srgb=bake_albedo(
                albedo, model.triangles_subdivided, model.uv_subdivided, model.uv_triangles_subdivided, TEXTURE_SIZE_PX
            ),
            morph_names=EXPRESSION_NAMES,
            morph_deltas_mm=face.subdivide(face.expressions(code.shape)).numpy(),
            morph_weights=code.expression.numpy(),
        )

    def _row(self, photo: Photo, code: FaceCode[Tensor], albedo_linear: Tensor, T_photo_crop: np.ndarray) -> np.ndarray:
        scale = CROP_SIZE_PX / PICTURE_SIZE_PX
        crop_srgb = crop_image(photo, T_photo_crop @ np.diag([scale, scale, 1.0]), PICTURE_SIZE_PX)
        views = render_views(
            self._pose(code, albedo_linear), crop_intrinsics(PICTURE_SIZE_PX), torch.from_numpy(crop_srgb)
        )
        return lay_out_row([crop_srgb, *(view.numpy() for view in views)])

    def _pose(self, code: FaceCode[Tensor], albedo_linear: Tensor) -> PosedFace:
        vertices = self._face.subdivide(self._face.vertices(code.shape[None], code.expression[None]))
        R = matrix_from_axis_angle(code.rotation)
        return PosedFace(
            vertices_camera=move_to_camera(vertices, R[None], code.translation[None])[0],
            albedo_linear=albedo_linear,
            illumination=code.illumination,
            triangles=self._triangles,
            opacity=self._opacity,
        )


def confidence(box: FaceBox, landmark_px: float, photometric: float) -> float:
    """Say how far to trust a reconstruction, in [0, 1]; it falls with either error and rises with the detector's trust.

        confidence = c / ((1 + (e_l / 0.06)²) (1 + (e_p / 0.25)²))

    with c the detector's confidence, e_l the landmark error over √area of the box and e_p the photometric error. It
    orders results; it is no probability.
    """
    landmark = landmark_px / math.sqrt(box.area_px2) / HALF_CONFIDENCE_LANDMARK
    colour = photometric / HALF_CONFIDENCE_PHOTOMETRIC
    return min(max(box.confidence, 0.0), 1.0) / ((1.0 + landmark**2) * (1.0 + colour**2))


def overlay_opacity(model: FaceModel) -> Float[Tensor, " vertices"]:
    """How much of the photo each native vertex hides: 1 inside the face, 0 from the face region's border outwards."""
    outside = np.setdiff1d(model.regions["skin"], np.concatenate([model.regions[name] for name in OVERLAY_REGIONS]))
    inside = np.ones(model.num_vertices)
    inside[outside] = 0.0
    neighbours = adjacency_matrix(triangle_sides(model.triangles), model.num_vertices)
    for _ in range(FADE_STEPS):
        inside = (inside + neighbours @ inside) / (1.0 + neighbours.sum(axis=1).A1)
    return torch.from_numpy(np.clip(2.0 * inside - 1.0, 0.0, 1.0)).float()


def _camera_record(camera: PhotoCamera) -> CameraRecord:
    yaw_deg, pitch_deg, roll_deg = euler_deg_from_matrix(camera.R).tolist()
    return CameraRecord(
        K=camera.K.numpy(),
        R=camera.R.numpy(),
        t=camera.t.numpy(),
        yaw_deg=yaw_deg,
        pitch_deg=pitch_deg,
        roll_deg=roll_deg,
        distance_mm=float(torch.linalg.vector_norm(camera.t)),
    )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Hold torch to one thread: sums over several are not the same from run to run, and the work is too small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
