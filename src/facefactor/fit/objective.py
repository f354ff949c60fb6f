# SPDX-License-Identifier: Apache-2.0
"""What the fit minimises for one photo: colours, landmarks and priors, as a function of the code's parts.

    loss = photometric + w_l · landmarks + priors of shape, expression, reflectance, light and distance

The photometric term compares sRGB-encoded colours at visible face vertices, each weighted by the pixels it stands for
and by how much the face model explains it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import project_points
from facefactor.code.face_code import NOMINAL_DISTANCE_MM
from facefactor.face.linear_points import LinearPoints
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.face.normals import vertex_normals
from facefactor.fit.geometry_stage import DISTANCE_SPREAD_MM
from facefactor.light.spherical_harmonics import LAMBERT_FACTORS, evaluate_basis, irradiance_over_pi
from facefactor.losses.landmark import landmark_loss
from facefactor.losses.light import light_prior, negative_light, scene_white
from facefactor.losses.photometric import colour_distance, explained_share, photometric_loss, projected_areas
from facefactor.losses.prior import expression_prior, gaussian_prior
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.skin_error import LEAST_FACING
from facefactor.render.vertex import facing_cosines, find_visible, sample_picture

TONES_TRIED = (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
"""Standard deviations of the first reflectance component, from the darkest skin to the lightest."""
CONSTANT_RIDGE, DIRECTIONAL_RIDGE = 2.5e-3, 1.25e-2
"""Of the least-squares light, against the skin's mean squared albedo: what faces away from the camera says nothing."""


@dataclass(frozen=True)
class FitSettings:
    """Weights and lengths of the fit."""

    landmark: float = 1500.0
    """Of the mean squared landmark distance, in crop sides."""
    shape: float = 3e-4
    """Of half the squared norm of shape."""
    reflectance: float = 4e-4
    """Of half the squared norm of reflectance."""
    expression: float = 2e-3
    """Of the expression prior."""
    light: float = 6e-3
    """Of the prior on light's strength and tint."""
    negative_light: float = 10.0
    """Of the mean squared irradiance below zero."""
    distance: float = 2e-3
    """Of half the squared standard score of the head's distance."""
    tolerance: float = 3.0
    """Colour distances beyond this many medians are mostly hair, glasses or hands."""
    colour_steps: int = 60
    """Adam steps on light and reflectance over the blurred crop."""
    joint_steps: int = 140
    """Adam steps on everything over the sharp crop."""
    visibility_interval: int = 10
    """Steps between depth tests."""


@dataclass(frozen=True)
class VertexMasks:
    """Which native vertices the photometric terms look at."""

    triangles: Tensor
    """(F, 3)"""
    compared: Tensor
    """(V,) bool: the face with its eyeballs, without the mouth's lining."""
    measured: Tensor
    """(V,) bool: the face's skin, over which the reported error is taken."""

    @classmethod
    def of(cls, model: FaceModel) -> "VertexMasks":
        """Read them off the model's regions."""
        measured = torch.zeros(model.num_vertices, dtype=torch.bool)
        measured[torch.from_numpy(model.regions["face"])] = True
        compared = measured.clone()
        compared[torch.from_numpy(model.regions["eyes"])] = True
        return cls(torch.from_numpy(model.triangles).long(), compared, measured)


class PhotoObjective:
    """One photo's loss; parameters are a dict of FaceCode parts without batch dimension."""

    def __init__(
        self,
        face: MorphableFace,
        masks: VertexMasks,
        landmarks: LinearPoints,
        settings: FitSettings,
        crop_srgb: Float[Tensor, "size size 3"],
        landmarks_px: Float[Tensor, "478 2"],
        landmark_weights: Float[Tensor, "478"],
        coverage: Bool[Tensor, "size size"] | None,
        K: Float[Tensor, "3 3"],
    ) -> None:
        self.face, self.masks, self.landmarks, self.settings, self.K = face, masks, landmarks, settings, K
        self.size = crop_srgb.shape[0]
        self.crop_srgb = crop_srgb[None]
        self.landmarks_px, self.landmark_weights = landmarks_px, landmark_weights
        covered = torch.ones(self.size, self.size) if coverage is None else coverage.float()
        self._covered = covered[None, :, :, None]
        self._scene_white = scene_white(srgb_to_linear(self.crop_srgb))
        self._picture = self.crop_srgb
        self._is_visible: Tensor | None = None

    def look_at(self, blur_px: float) -> None:
        """Compare with the crop blurred by a Gaussian of this standard deviation; 0 for the crop itself."""
        self._picture = blur(self.crop_srgb, blur_px)

    def loss(self, parameters: dict[str, Tensor], renew_visibility: bool) -> Tensor:
        """The loss to minimise; a depth test is made anew when asked or never made."""
        settings = self.settings
        view = self._view(parameters, renew_visibility)
        distance = colour_distance(sample_picture(self._picture, view.positions_px), linear_to_srgb(view.colour_linear))
        is_used = view.weights > 0
        weights = view.weights * explained_share(distance, is_used, settings.tolerance)
        score = (parameters["translation"][2] + NOMINAL_DISTANCE_MM) / DISTANCE_SPREAD_MM
        terms = (
            photometric_loss(distance, weights)
            + settings.landmark
            * landmark_loss(
                self._project_landmarks(parameters)[None],
                self.landmarks_px[None],
                self.landmark_weights[None],
                self.size,
            )
            + settings.shape * gaussian_prior(parameters["shape"][None])
            + settings.reflectance * gaussian_prior(parameters["reflectance"][None])
            + settings.expression * expression_prior(parameters["expression"][None])
            + settings.light * light_prior(parameters["illumination"][None], view.mean_irradiance, self._scene_white)
            + settings.negative_light * negative_light(view.irradiance[:, self.masks.compared])
        )
        return terms.sum() + settings.distance * 0.5 * score.square()

    @torch.no_grad()
    def best_colours(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Choose skin tone (the first reflectance coefficient) and light together, by trying tones.

        Tone and the strength of light explain each other; what decides is their priors and the sclera. Gradient steps
        would stay near the tone they start from.
        """
        self._is_visible = None  # one depth test serves all tones
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
        view = self._view(parameters | {"illumination": torch.zeros(9, 3)}, renew_visibility)
        weights = view.weights[0] * self.masks.measured  # skin alone: on dark faces the sclera would outshine it
        weights = weights / weights.sum().clamp_min(1e-9)
        observed = srgb_to_linear(sample_picture(self.crop_srgb, view.positions_px))[0]
        basis = evaluate_basis(view.normals[0]) * torch.tensor(LAMBERT_FACTORS)
        ridge = torch.diag(torch.tensor([CONSTANT_RIDGE] + [DIRECTIONAL_RIDGE] * 8))
        channels = []
        for channel in range(3):
            design = basis * view.albedo[0, :, channel, None]
            weighted = design * weights[:, None]
            brightness = (weights * view.albedo[0, :, channel].square()).sum()
            system = weighted.T @ design + brightness * ridge
            channels.append(torch.linalg.solve(system, weighted.T @ observed[:, channel]))
        return torch.stack(channels, dim=-1)

    def _project_landmarks(self, parameters: dict[str, Tensor]) -> Float[Tensor, "478 2"]:
        points = self.landmarks.place(parameters["shape"][None], parameters["expression"][None])[0]
        R = matrix_from_axis_angle(parameters["rotation"])
        return project_points(move_to_camera(points, R, parameters["translation"]), self.K)

    def _view(self, parameters: dict[str, Tensor], renew_visibility: bool) -> "_View":
        vertices = self.face.vertices(parameters["shape"][None], parameters["expression"][None])
        R = matrix_from_axis_angle(parameters["rotation"])
        vertices = move_to_camera(vertices, R[None], parameters["translation"][None])
        normals = vertex_normals(vertices, self.masks.triangles)
        positions = project_points(vertices, self.K)
        if renew_visibility or self._is_visible is None:
            facing = facing_cosines(vertices, normals)
            seen = find_visible(vertices, normals, self.K, self.masks.triangles, self.size, self.size)
            self._is_visible = seen & (facing > LEAST_FACING) & self.masks.compared
        inside = sample_picture(self._covered, positions.detach())[..., 0]
        weights = self._is_visible * inside * projected_areas(positions, self.masks.triangles)
        albedo = self.face.albedo(parameters["reflectance"][None])
        irradiance = irradiance_over_pi(normals, parameters["illumination"][None])
        return _View(positions, normals, albedo, irradiance, weights)

    def _no_reflectance(self) -> Tensor:
        return torch.zeros(self.face.reflectance_basis.shape[0])


@dataclass(frozen=True)
class _View:
    """The vertices as the crop's camera sees them, with a batch dimension of one."""

    positions_px: Tensor
    normals: Tensor
    albedo: Tensor
    irradiance: Tensor
    weights: Tensor

    @property
    def mean_irradiance(self) -> Tensor:
        """(1, 3) over the visible face."""
        share = self.weights / self.weights.sum().clamp_min(1e-9)
        return (share[..., None] * self.irradiance).sum(dim=1)

    @property
    def colour_linear(self) -> Tensor:
        return self.albedo * self.irradiance


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
