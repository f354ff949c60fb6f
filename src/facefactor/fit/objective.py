# SPDX-License-Identifier: Apache-2.0
"""What the fit minimises for one photo: colours, landmarks and priors, as a function of the code's parts.

    loss = photometric + w_l · landmarks + w_o · openings + priors of shape, expression, reflectance, light and distance
           + trust in the start, where there is one

Colours and priors are those of `losses/reconstruction.py`.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facefactor.code.face_code import FaceCode
from facefactor.face.linear_points import LinearPoints
from facefactor.fit.best_light import best_light
from facefactor.fit.expression_prior import expressions_of_random_faces
from facefactor.fit.geometry_stage import LANDMARK_SPREAD
from facefactor.light.spherical_harmonics import LAMBERT_FACTORS, evaluate_basis
from facefactor.losses.landmark import landmark_loss, opening_distance, project_landmarks
from facefactor.losses.light import scene_white
from facefactor.losses.prior import NO_TRUST, StartTrust
from facefactor.losses.reconstruction import ReconstructionWeights, colours_and_priors
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.face_view import FaceView, FaceViewer
from facefactor.render.vertex import sample_picture

TONES_TRIED = (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
"""Standard deviations of the first reflectance component, from the darkest skin to the lightest."""


@dataclass(frozen=True)
class FitSettings:
    """Weights and lengths of the fit."""

    weights: ReconstructionWeights = field(default_factory=ReconstructionWeights)
    """Of colours and priors."""
    landmark: float = 1500.0
    """Of the mean squared landmark distance, in crop sides."""
    opening: float = 15.0
    """Of the distance in how far eyes and mouth are opened, in crop sides: closed eyes shall close."""
    landmark_spread: float = LANDMARK_SPREAD
    """Standard deviation of a detected point in the stage of landmarks alone, in crop sides."""
    trust: StartTrust = NO_TRUST
    """In a start's shape and expression, in units of the weight of shape's prior."""
    population: float = 3e-4
    """Of how unlikely the expression is among random ones, half a squared Mahalanobis distance."""
    colour_steps: int = 60
    """Adam steps on light and reflectance over the blurred crop."""
    joint_steps: int = 140
    """Adam steps on everything over the sharp crop."""
    refine_steps: int = 90
    """Adam steps on everything from an encoder's answer."""
    visibility_interval: int = 10
    """Steps between depth tests."""


class PhotoObjective:
    """One photo's loss; parameters are a dict of FaceCode parts without batch dimension."""

    def __init__(
        self,
        viewer: FaceViewer,
        landmarks: LinearPoints,
        settings: FitSettings,
        crop_srgb: Float[Tensor, "size size 3"],
        landmarks_px: Float[Tensor, "478 2"],
        landmark_weights: Float[Tensor, "478"],
        coverage: Bool[Tensor, "size size"] | None,
        start: FaceCode[Tensor] | None = None,
    ) -> None:
        self.viewer, self.landmarks, self.settings = viewer, landmarks, settings
        self.crop_srgb = crop_srgb[None]
        self.landmarks_px, self.landmark_weights = landmarks_px[None], landmark_weights[None]
        covered = torch.ones(crop_srgb.shape[:2]) if coverage is None else coverage.float()
        self._covered = covered[None, :, :, None]
        self._scene_white = scene_white(srgb_to_linear(self.crop_srgb))
        self._picture = self.crop_srgb
        self._population = expressions_of_random_faces()
        self._weights: Tensor | None = None
        self._start = start

    def look_at(self, blur_px: float) -> None:
        """Compare with the crop blurred by a Gaussian of this standard deviation; 0 for the crop itself."""
        self._picture = blur(self.crop_srgb, blur_px)

    def loss(self, parameters: dict[str, Tensor], renew_visibility: bool) -> Tensor:
        """The loss to minimise; a depth test is made anew when asked or never made."""
        code = _code_of(parameters)
        view = self._look(code, renew_visibility)
        terms = colours_and_priors(
            code, view, self._picture, self._covered, self._scene_white, self.viewer.masks, self.settings.weights
        )
        projected_px, size_px = project_landmarks(self.landmarks, code, self.viewer.K), self.viewer.size_px
        distance = landmark_loss(projected_px, self.landmarks_px, self.landmark_weights, size_px)
        opening = opening_distance(projected_px, self.landmarks_px, self.landmark_weights, size_px)
        others = self.settings.landmark * distance + self.settings.opening * opening
        others = others + self.settings.population * self._population.distance(code.expression)
        if self._start is not None:
            moved = code.full_shape - self._start.full_shape, code.expression - self._start.expression
            others = others + self.settings.weights.shape * self.settings.trust.distance(*moved)
        return (torch.stack(list(terms.values())).sum(dim=0) + others).sum()

    @torch.no_grad()
    def best_colours(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Choose skin tone (the first reflectance coefficient) and light together, by trying tones.

        Tone and the strength of light explain each other; what decides is their priors and the sclera. Gradient steps
        would stay near the tone they start from.
        """
        self._weights = None  # one depth test serves all tones
        candidates = []
        for tone in TONES_TRIED:
            trial = parameters | {"reflectance": self._no_reflectance()}
            trial["reflectance"][0] = tone
            trial["illumination"] = self.best_light(trial, renew_visibility=False)
            candidates.append(trial)
        return min(candidates, key=lambda trial: float(self.loss(trial, renew_visibility=False)))

    @torch.no_grad()
    def best_light(self, parameters: dict[str, Tensor], renew_visibility: bool = True) -> Float[Tensor, "9 3"]:
        """Least-squares light for the given albedo, in linear light."""
        view = self._look(_code_of(parameters | {"illumination": torch.zeros(9, 3)}), renew_visibility)
        inside = view.weights * sample_picture(self._covered, view.positions_px)[..., 0]
        weights = inside * self.viewer.masks.measured  # skin alone: on dark faces the sclera would outshine it
        observed = srgb_to_linear(sample_picture(self.crop_srgb, view.positions_px))
        basis = evaluate_basis(view.normals) * torch.tensor(LAMBERT_FACTORS)
        return best_light(observed, view.albedo, basis, weights)[0]

    def _look(self, code: FaceCode[Tensor], renew_visibility: bool) -> FaceView:
        view = self.viewer.look(code, None if renew_visibility else self._weights)
        self._weights = view.weights
        return view

    def _no_reflectance(self) -> Tensor:
        return torch.zeros(self.viewer.face.reflectance_basis.shape[0])


def _code_of(parameters: dict[str, Tensor]) -> FaceCode[Tensor]:
    """A batch of one."""
    return FaceCode(**{name: value[None] for name, value in parameters.items()})


def blur(picture: Float[Tensor, "batch height width 3"], sigma_px: float) -> Float[Tensor, "batch height width 3"]:
    """Gaussian blur, borders repeated."""
    if sigma_px <= 0:
        return picture
    reach = int(3 * sigma_px) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    planes = torch.nn.functional.pad(picture.permute(0, 3, 1, 2), (reach,) * 4, mode="replicate")
    planes = torch.nn.functional.conv2d(planes, kernel, groups=3)
    planes = torch.nn.functional.conv2d(planes, kernel.transpose(2, 3), groups=3)
    return planes.permute(0, 2, 3, 1)
