# SPDX-License-Identifier: Apache-2.0
"""Fit one face: landmarks first, then the photo's colours from coarse to fine.

    landmarks ─Gauss–Newton─► pose, shape, expression ─least squares─► light ─Adam, blurred crop─► + reflectance
              ─Adam, sharp crop─► everything ─► FaceCode in the crop's camera

From a plain start (mean face, no network). All weights are relative to a photometric term in sRGB units, after MoFA
(arXiv:1703.10580, eq. 6) and re-tuned on portraits.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.face.linear_points import dense_landmarks
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.geometry_stage import fit_geometry
from facefactor.fit.objective import FitSettings, PhotoObjective
from facefactor.losses.landmark import landmark_weights
from facefactor.render.face_view import FaceViewer, VertexMasks

LEARNING_RATES = {
    "rotation": 2e-3,
    "translation": 0.3,
    "shape": 0.03,
    "expression": 0.01,
    "reflectance": 0.05,
    "illumination": 0.03,
}
"""Of Adam, at the start of each stage; they fall to a tenth."""
BLUR_SHARE = 1 / 64
"""Standard deviation of the coarse stage's blur, in crop sides."""


class FaceFitter:
    """Fits faces with one face model; holds what does not change from photo to photo.

    Args:
        model: the face model.
        settings: weights and lengths; the tuned ones by default.
    """

    def __init__(self, model: FaceModel, settings: FitSettings | None = None) -> None:
        self.settings = settings or FitSettings()
        self.face, self.masks = MorphableFace(model, native_albedo=True), VertexMasks.of(model)
        self._landmarks = dense_landmarks(model)
        self._kind_weights = landmark_weights()

    def fit(
        self,
        crop_srgb: Float[Tensor, "size size 3"],
        landmarks_px: Float[Tensor, "478 2"],
        visibility: Float[Tensor, "478"],
        coverage: Bool[Tensor, "size size"] | None = None,
    ) -> FaceCode[Tensor]:
        """Fit one face: its code in the crop's camera, without batch dimension or gradient.

        Args:
            crop_srgb: the upright crop, [0, 1].
            landmarks_px: detected points in the crop.
            visibility: how far to trust each, [0, 1].
            coverage: which crop pixels the photo covers; all by default.
        """
        size = crop_srgb.shape[0]
        K = torch.from_numpy(crop_intrinsics(size)).float()
        weights = self._kind_weights * visibility
        geometry = fit_geometry(self._landmarks, landmarks_px, weights, K, size)
        viewer = FaceViewer(self.face, self.masks, K, size)
        objective = PhotoObjective(viewer, self._landmarks, self.settings, crop_srgb, landmarks_px, weights, coverage)
        parameters = {name: getattr(geometry, name).detach().clone() for name in GEOMETRY_PARTS}
        parameters = objective.best_colours(parameters)
        _minimise(objective, parameters, COLOUR_PARTS, self.settings.colour_steps, blur_px=BLUR_SHARE * size)
        _minimise(objective, parameters, GEOMETRY_PARTS + COLOUR_PARTS, self.settings.joint_steps, blur_px=0.0)
        return FaceCode(**parameters)


GEOMETRY_PARTS = ("rotation", "translation", "shape", "expression")
COLOUR_PARTS = ("reflectance", "illumination")


def _minimise(
    objective: PhotoObjective, parameters: dict[str, Tensor], names: tuple[str, ...], steps: int, blur_px: float
) -> None:
    """Adam on the named entries of `parameters`, which it replaces."""
    objective.look_at(blur_px)
    free = {name: parameters[name].clone().requires_grad_() for name in names}
    optimiser = torch.optim.Adam([{"params": [value], "lr": LEARNING_RATES[name]} for name, value in free.items()])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.1 ** (1 / steps))
    for step in range(steps):
        optimiser.zero_grad()
        objective.loss(
            parameters | free, renew_visibility=step % objective.settings.visibility_interval == 0
        ).backward()
        optimiser.step()
        schedule.step()
        if "expression" in free:
            with torch.no_grad():
                free["expression"].clamp_(0, 1)
    parameters.update({name: value.detach() for name, value in free.items()})
