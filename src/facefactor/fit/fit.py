# SPDX-License-Identifier: Apache-2.0
"""Fit one face: landmarks first, then the photo's colours from coarse to fine; or refine what an encoder answered.

    landmarks ─Gauss–Newton─► pose, shape, expression ─least squares─► light ─Adam, blurred crop─► + reflectance
              ─Adam, sharp crop─► everything ─► FaceCode in the crop's camera

From a plain start (mean face, no network), or shorter, from an encoder's answer. All weights are relative to a
photometric term in sRGB units, after MoFA (arXiv:1703.10580, eq. 6) and re-tuned on portraits.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import CORRECTIVE_PARTS, FaceCode
from facefactor.face.linear_points import dense_landmarks
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.batch_geometry import BatchGeometry
from facefactor.fit.expression_prior import expressions_of_random_faces
from facefactor.fit.geometry_stage import fit_geometry
from facefactor.fit.objective import FitSettings, PhotoObjective
from facefactor.losses.landmark import landmark_weights, meet_when_shut, opened_at_most_as, project_landmarks
from facefactor.losses.prior import StartTrust
from facefactor.losses.reconstruction import ReconstructionWeights
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
REFINING_STEPS = 10
"""Gauss–Newton steps from an encoder's answer."""
REFINING_RATES = {
    **LEARNING_RATES,
    "shape": 0.07,
    "reflectance": 0.3,
    "illumination": 0.12,
    "geometry_corrective": 0.07,
    "reflectance_corrective": 0.03,
}
"""Of Adam from an encoder's answer: fewer steps, which may be longer, as they start near the end. Corrections of albedo
have been read off this very photo; at longer steps they would paint on hair and shadows."""
REFINING = FitSettings(
    weights=ReconstructionWeights(photometric=4.0, reflectance=1.5e-4, light=6e-3),
    landmark=400.0,
    landmark_spread=0.0134,
    trust=StartTrust(shape=65.0, expression=65.0),
)
"""A search from an encoder's answer may trust the photo's colours more: it cannot lose its way so easily. Landmarks,
which the encoder knows too, count a fifth: detected points are not quite where the model's are, and a shape and
expression that run after them lose the person's own relief."""
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
        landmarks_px = meet_when_shut(landmarks_px[None])[0]
        objective = self._objective(crop_srgb, landmarks_px, visibility, coverage)
        viewer = objective.viewer
        geometry = fit_geometry(
            self._landmarks, landmarks_px, self._kind_weights * visibility, viewer.K, viewer.size_px
        )
        parameters = {name: getattr(geometry, name).detach().clone() for name in GEOMETRY_PARTS}
        parameters = objective.best_colours(parameters)
        blur_px = BLUR_SHARE * viewer.size_px
        _minimise(objective, parameters, COLOUR_PARTS, self.settings.colour_steps, LEARNING_RATES, blur_px)
        _minimise(objective, parameters, ALL_PARTS, self.settings.joint_steps, LEARNING_RATES)
        return FaceCode(**parameters)

    def refine(
        self,
        start: FaceCode[Tensor],
        crop_srgb: Float[Tensor, "size size 3"],
        landmarks_px: Float[Tensor, "478 2"],
        visibility: Float[Tensor, "478"],
        coverage: Bool[Tensor, "size size"] | None = None,
    ) -> FaceCode[Tensor]:
        """Search on from a code that is about right, such as an encoder's: a quarter of the time of `fit`.

        Of the code's eyes and the detected ones those that are shut more count: what is wrong of shut eyes is that they
        are seen open, winks above all by the detector, whose two eyes are alike.

        Args:
            start: one face in the crop's camera, without batch dimension.
            crop_srgb: see `fit`, as for the others.
            landmarks_px: see there.
            visibility: see there.
            coverage: see there.
        """
        K = torch.from_numpy(crop_intrinsics(crop_srgb.shape[0])).float()
        batch = start.map(lambda part: part[None])
        starting_px = project_landmarks(self._landmarks, batch, K)
        landmarks_px = opened_at_most_as(meet_when_shut(landmarks_px[None]), starting_px)[0]
        objective = self._objective(crop_srgb, landmarks_px, visibility, coverage, batch)
        viewer, settings = objective.viewer, self.settings
        population = expressions_of_random_faces()
        geometry = BatchGeometry(
            self._landmarks,
            viewer.K,
            viewer.size_px,
            REFINING_STEPS,
            population,
            settings.landmark_spread,
            settings.trust,
        )
        weights = self._kind_weights * visibility
        posed = geometry.fit(batch, landmarks_px[None], weights[None])[0]
        names = ALL_PARTS + CORRECTIVE_PARTS  # of which a base model has none
        parameters = {name: getattr(posed, name) for name in names}
        _minimise(objective, parameters, names, self.settings.refine_steps, REFINING_RATES)
        return FaceCode(**parameters)

    def _objective(
        self,
        crop_srgb: Float[Tensor, "size size 3"],
        landmarks_px: Float[Tensor, "478 2"],
        visibility: Float[Tensor, "478"],
        coverage: Bool[Tensor, "size size"] | None,
        start: FaceCode[Tensor] | None = None,
    ) -> PhotoObjective:
        size = crop_srgb.shape[0]
        viewer = FaceViewer(self.face, self.masks, torch.from_numpy(crop_intrinsics(size)).float(), size)
        weights = self._kind_weights * visibility
        return PhotoObjective(viewer, self._landmarks, self.settings, crop_srgb, landmarks_px, weights, coverage, start)


GEOMETRY_PARTS = ("rotation", "translation", "shape", "expression")
COLOUR_PARTS = ("reflectance", "illumination")
ALL_PARTS = GEOMETRY_PARTS + COLOUR_PARTS


def _minimise(
    objective: PhotoObjective,
    parameters: dict[str, Tensor],
    names: tuple[str, ...],
    steps: int,
    rates: Mapping[str, float],
    blur_px: float = 0.0,
) -> None:
    """Adam on the named entries of `parameters`, which it replaces."""
    objective.look_at(blur_px)
    free = {name: parameters[name].clone().requires_grad_() for name in names}
    optimiser = torch.optim.Adam([{"params": [value], "lr": rates[name]} for name, value in free.items()])
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
