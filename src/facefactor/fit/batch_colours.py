# SPDX-License-Identifier: Apache-2.0
"""Light and skin of many faces at once, by linear least squares on the photos' colours, for known geometry.

    posed faces ─┬─ try skin tones: best light of each ─ score like the fit ─► tone, light
                 └─ reflectance ⇄ light, each linear for the other, twice   ─► reflectance, light

The light is linear in the photo's linear colours, c = ρ(β) Σ_k γ_k (A_k/π) Y_k(n), and log albedo is linear in the
reflectance, log ρ = mean + Σ_k β_k basis_k, so

    γ:  min Σ_v w_v ‖c_v − ρ_v E_v(γ)‖² + ridge        β:  min Σ_v w_v ‖log c_v − log E_v − log ρ_v(β)‖² / σ² + ‖β‖²

with the robust weights of `losses/photometric.py` on what the model cannot explain. No rendering and no gradient: ten
milliseconds a face. What the fit minimises in sRGB units is minimised here in linear ones and logarithms, so the fit,
which goes on from such answers, is better; breeding needs the light and the tones of real photos, not their pores.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facefactor.code.face_code import FaceCode
from facefactor.face.model import ALBEDO_RANGE, FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.best_light import best_light
from facefactor.fit.objective import TONES_TRIED
from facefactor.light.spherical_harmonics import LAMBERT_FACTORS, ambient_light, evaluate_basis
from facefactor.losses.light import light_prior, negative_light, scene_white
from facefactor.losses.photometric import colour_distance, explained_share, photometric_loss
from facefactor.losses.prior import gaussian_prior
from facefactor.losses.reconstruction import ReconstructionWeights
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.face_view import FaceViewer, VertexMasks
from facefactor.render.skin_error import WHITE_STRENGTHS_TRIED
from facefactor.render.vertex import sample_picture

ALTERNATIONS = 2
LOG_SPREAD = 0.35
"""Standard deviation of what the logarithm of a colour differs from the model's by: shadow, gloss, hair."""
INDEPENDENT_COLOURS = 60.0
"""Errors of neighbouring places go together: all vertices count as much as this many independent ones."""
LEAST_IRRADIANCE, LEAST_COLOUR = 0.05, 0.004
"""Of what a logarithm is taken of."""


@dataclass(frozen=True, eq=False)
class FaceViews:
    """The skin of posed faces as their crops show it, vertex by vertex; geometry is done with."""

    observed_srgb: Float[Tensor, "batch skin 3"]
    """Colour of the crop at each vertex."""
    basis: Float[Tensor, "batch skin 9"]
    """Irradiance over π of each light coefficient at strength one."""
    weights: Float[Tensor, "batch skin"]
    """Pixels that each vertex stands for; zero where it is hidden."""
    scene_white: Float[Tensor, "batch 3"]


class BatchColours:
    """Finds light and reflectance of batches of faces with one face model.

    Args:
        model: the face model.
        K: the crops' intrinsics.
        weights: of the priors that choose among skin tones.
    """

    def __init__(self, model: FaceModel, K: Float[Tensor, "3 3"], weights: ReconstructionWeights | None = None) -> None:
        self._face, self._masks = MorphableFace(model, native_albedo=True), VertexMasks.of(model)
        self._skin = torch.from_numpy(np.asarray(model.regions["face"])).long()
        self._weights, self._K = weights or ReconstructionWeights(), K
        self._log_mean = self._face.log_albedo_mean[self._skin]
        self._log_basis = self._face.reflectance_basis[:, self._skin]

    @torch.no_grad()
    def fit(self, code: FaceCode[Tensor], crops_srgb: Float[Tensor, "batch 3 size size"]) -> FaceCode[Tensor]:
        """Find light and reflectance; pose, shape and expression stay as they are.

        Args:
            code: in the crops' camera; its light and reflectance are not looked at.
            crops_srgb: [0, 1].
        """
        reflectance, light = self.explain(self.look(code, crops_srgb))
        return code.with_reflectance(reflectance).with_light(light)

    @torch.no_grad()
    def explain(self, views: FaceViews) -> tuple[Float[Tensor, "batch coeffs"], Float[Tensor, "batch 9 3"]]:
        """Find reflectance and light of faces that were looked at."""
        reflectance, light = self._best_tone(views)
        for _ in range(ALTERNATIONS):
            reflectance = self._reflectance(views, light)
            light = self._light(views, self.albedo(reflectance))
        return reflectance, light

    @torch.no_grad()
    def look(
        self,
        code: FaceCode[Tensor],
        crops_srgb: Float[Tensor, "batch 3 size size"],
        coverage: Bool[Tensor, "batch size size"] | None = None,
    ) -> FaceViews:
        """Project the faces' skin into their crops and see which of it shows.

        Args:
            code: in the crops' camera.
            crops_srgb: [0, 1].
            coverage: which pixels of the crops show the photo; all by default.
        """
        view = FaceViewer(self._face, self._masks, self._K, crops_srgb.shape[-1]).look(code)
        pictures, weights = crops_srgb.movedim(1, -1), view.weights
        if coverage is not None:
            weights = weights * sample_picture(coverage[..., None].to(weights), view.positions_px)[..., 0]
        return FaceViews(
            observed_srgb=sample_picture(pictures, view.positions_px[:, self._skin]),
            basis=evaluate_basis(view.normals[:, self._skin]) * torch.tensor(LAMBERT_FACTORS),
            weights=weights[:, self._skin],
            scene_white=scene_white(srgb_to_linear(pictures)),
        )

    def albedo(self, reflectance: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch skin 3"]:
        """Linear albedo of the skin's vertices."""
        return self._face.albedo(reflectance)[:, self._skin]

    def photometric_error(
        self, views: FaceViews, albedo: Float[Tensor, "batch skin 3"], illumination: Float[Tensor, "batch 9 3"]
    ) -> Float[Tensor, " batch"]:
        """Mean ℓ2 distance of sRGB colours over the visible skin, every vertex counted by its pixels."""
        rendered = linear_to_srgb((albedo * (views.basis @ illumination)).clamp(0, 1))
        return photometric_loss(colour_distance(views.observed_srgb, rendered), views.weights)

    def baseline_error(self, views: FaceViews) -> Float[Tensor, " batch"]:
        """The same error of the mean albedo under the constant white light that makes it least."""
        white = ambient_light(torch.ones(len(views.weights), 3))
        mean = self.albedo(views.weights.new_zeros(1, len(self._log_basis)))
        errors = [self.photometric_error(views, mean, strength * white) for strength in WHITE_STRENGTHS_TRIED]
        return torch.stack(errors).amin(dim=0)

    def _best_tone(self, views: FaceViews) -> tuple[Tensor, Tensor]:
        """Choose skin tone and light together, as `PhotoObjective.best_colours` does."""
        trials, lights, losses = [], [], []
        for tone in TONES_TRIED:
            reflectance = views.weights.new_zeros(len(views.weights), len(self._log_basis))
            reflectance[:, 0] = tone
            albedo = self.albedo(reflectance)
            light = self._light(views, albedo)
            trials.append(reflectance)
            lights.append(light)
            losses.append(self._loss(views, reflectance, albedo, light))
        best = torch.stack(losses).argmin(dim=0)
        each = torch.arange(len(best))
        return torch.stack(trials)[best, each], torch.stack(lights)[best, each]

    def _loss(self, views: FaceViews, reflectance: Tensor, albedo: Tensor, light: Tensor) -> Tensor:
        """What the fit minimises, of colours alone."""
        irradiance, weights = views.basis @ light, self._weights
        distance = colour_distance(views.observed_srgb, linear_to_srgb(albedo * irradiance))
        trusted = views.weights * explained_share(distance, views.weights > 0, weights.tolerance)
        share = views.weights / views.weights.sum(dim=1, keepdim=True).clamp_min(1e-9)
        mean_irradiance = (share[..., None] * irradiance).sum(dim=1)
        return (
            photometric_loss(distance, trusted)
            + weights.reflectance * gaussian_prior(reflectance)
            + weights.light * light_prior(light, mean_irradiance, views.scene_white)
            + weights.negative_light * negative_light(irradiance)
        )

    def _light(self, views: FaceViews, albedo: Tensor) -> Float[Tensor, "batch 9 3"]:
        """Least-squares light for an albedo."""
        return best_light(srgb_to_linear(views.observed_srgb), albedo, views.basis, views.weights)

    def _reflectance(self, views: FaceViews, light: Tensor) -> Float[Tensor, "batch coeffs"]:
        """The most probable reflectance under a light, by the logarithms of colours."""
        irradiance = views.basis @ light
        is_lit = self._is_lit(views, irradiance)
        log_albedo = srgb_to_linear(views.observed_srgb).clamp_min(LEAST_COLOUR).log()
        log_albedo = log_albedo - irradiance.clamp_min(LEAST_IRRADIANCE).log()
        residual = log_albedo.clamp(np.log(ALBEDO_RANGE[0]), np.log(ALBEDO_RANGE[1])) - self._log_mean
        distance = (residual - _weighted_mean(residual, views.weights)).norm(dim=-1)
        trust = views.weights * is_lit * explained_share(distance, views.weights > 0, self._weights.tolerance)
        trust = trust * (INDEPENDENT_COLOURS / LOG_SPREAD**2) / trust.sum(dim=1, keepdim=True).clamp_min(1e-9)
        columns = self._log_basis.flatten(1)
        weighted = columns * trust[:, None].repeat_interleave(3, dim=-1)
        system = weighted @ columns.mT + torch.eye(len(columns))
        return torch.linalg.solve(system, weighted @ residual.flatten(1)[..., None])[..., 0]

    def _is_lit(self, views: FaceViews, irradiance: Tensor) -> Bool[Tensor, "batch skin"]:
        """Where logarithms mean something: not in the dark, and not where the photo is blown out."""
        in_range = (views.observed_srgb.amax(dim=-1) < 0.99) & (views.observed_srgb.amax(dim=-1) > 0.04)
        return in_range & (irradiance.amin(dim=-1) > LEAST_IRRADIANCE)


def _weighted_mean(values: Tensor, weights: Tensor) -> Float[Tensor, "batch 1 3"]:
    share = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-9)
    return (share[..., None] * values).sum(dim=1, keepdim=True)
