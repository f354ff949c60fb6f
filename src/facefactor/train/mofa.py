# SPDX-License-Identifier: Apache-2.0
"""Train the encoder on photos that nobody labelled: the model-based autoencoder (MoFA, arXiv:1703.10580).

    photo crop ─encoder─► code ─face model, camera, light─► coloured vertices ─► compared with the crop itself

The code in the middle has meaning because what follows the encoder is no network but the formulas of
`render/face_view.py`, whose gradients train it. The loss is the fit's (`losses/reconstruction.py`), with the landmarks
of `prepare` beside the colours (the paper's surrogate task; a weight of 0 leaves them out). Beyond the paper:

- Each step may show rendered faces, whose codes are known: photos say what real skin and light look like, rendered
  faces hold shape, skin tone and light apart, which no single photo can.
- Of two photos of one person, each is explained with the shape and the reflectance that was answered to the other.
- Some photos are darkened, and the light is expected to be darker by as much: so the skin is not. Some lose their
  colours, and are compared without.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.code.face_code import FaceCode
from facefactor.data.batch import CropBatch, join_batches
from facefactor.data.exposure import Exposures
from facefactor.data.mixed_batches import MixedBatch, MixedBatches
from facefactor.data.photographs import PhotoBatches, PhotoCorpus
from facefactor.data.rare_photos import RareRepeats, rare_expressions
from facefactor.data.same_person import PairBatches, persons_of
from facefactor.data.synthetic_corpus import SyntheticBatches, SyntheticCorpus
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.encoder import Encoder
from facefactor.errors import AssetMissing
from facefactor.face.linear_points import LinearPoints
from facefactor.face.model import FaceModel
from facefactor.fit.expression_prior import expressions_of_random_faces
from facefactor.losses.landmark import (
    CropLandmarks,
    landmark_distance,
    landmark_weights,
    meet_when_shut,
    opening_distance,
)
from facefactor.losses.light import scene_white
from facefactor.losses.model_space import geometry_distance
from facefactor.losses.reconstruction import ReconstructionWeights, colours_and_priors
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.face_view import FaceView, FaceViewer
from facefactor.train.checkpoint import load_weights
from facefactor.train.devices import Devices
from facefactor.train.held_out import HeldOutPhotos, split_numbers
from facefactor.train.inverse import InverseObjective
from facefactor.train.loop import LoopSettings, Objective, Validation, train

REGIME = "mofa"
WHITE_STRIDE = 2
"""Of the pixels that are searched for the scene's white, across and down: sorting all of them takes long."""


@dataclass(frozen=True)
class MofaSettings:
    """What is particular to the regime; the loop's own settings are in `LoopSettings`."""

    batch_size: int = 48
    """Photos per optimiser step and process."""
    faces: int = 16
    """Rendered faces beside them, where there is a corpus of such."""
    pairs: int = 8
    """Pairs of photos of one person beside them, where there is a corpus of such."""
    rare: RareRepeats = RareRepeats()  # noqa: RUF009 (it is frozen)
    """How often photos of shut eyes and wide open mouths are drawn."""
    landmarks: float = 20.0
    """Of the mean landmark distance, in crop sides, against colours in sRGB units; 0 trains without landmarks."""
    openings: float = 50.0
    """Of the distance in how far eyes and mouth are opened, in the same units; not used without landmarks."""
    faces_weight: float = 0.6
    """Of the regime `inverse`'s loss on rendered faces."""
    faces_geometry: float = 0.1
    """Of the mean distance of their vertices, mm: depth and relief, of which landmarks say little."""
    faces_openings: float = 20.0
    """Of their openings' distance, as of photos'."""
    population: float = 3e-4
    """Of how unlikely the expression is among random ones, half a squared Mahalanobis distance."""
    altered_share: float = 0.25
    """Of photos and faces, that are exposed otherwise."""
    grey_share: float = 0.08
    """Of photos and faces, that lose their colours."""
    weights: ReconstructionWeights = ReconstructionWeights(photometric=3.0, light=1.5e-2)  # noqa: RUF009 (it is frozen)
    """Of colours and priors."""
    num_held_out: int = 256
    """Photos kept for validation, a quarter at most."""
    loader_workers: int = 0
    """Processes that read ahead; 0 reads each batch when it is its turn."""

    def __post_init__(self) -> None:
        if min(self.batch_size, self.faces, self.pairs, self.num_held_out) < 1:
            sizes = f"{self.batch_size}, {self.faces}, {self.pairs} and {self.num_held_out}"
            raise ValueError(f"batch_size, faces, pairs and num_held_out must be at least 1, got {sizes}")
        if self.loader_workers < 0:
            raise ValueError(f"loader_workers must be at least 0, got {self.loader_workers}")
        names = "landmarks", "openings", "faces_weight", "faces_geometry", "faces_openings", "population"
        weights = [getattr(self, name) for name in names]
        if min(weights) < 0:
            given = ", ".join(map(str, weights))
            raise ValueError(f"{', '.join(names[:-1])} and {names[-1]} must be at least 0, got {given}")
        if not (0 <= self.altered_share <= 1 and 0 <= self.grey_share <= 1):
            shares = f"{self.altered_share} and {self.grey_share}"
            raise ValueError(f"altered_share and grey_share must be at least 0 and at most 1, got {shares}")


def train_mofa(
    photos: PhotoCorpus,
    faces: SyntheticCorpus | None,
    model: FaceModel,
    folder: Path,
    settings: MofaSettings,
    loop: LoopSettings,
    *,
    persons: PhotoCorpus | None = None,
    init: Path | None = None,
    devices: Devices | None = None,
    resume: bool = False,
) -> nn.Module:
    """Train an encoder on photos and return it with the averaged weights.

    Args:
        photos: to learn from.
        faces: rendered ones beside them; None for photos alone, as in the paper.
        model: the face model.
        folder: of the run.
        settings: of the regime.
        loop: of the loop.
        persons: photos of people of whom there are several, named PERSON_…; None where it is not known who is shown.
        init: weights to start from; random ones when left out.
        devices: see `loop.train`.
        resume: go on from the folder's last checkpoint.

    Raises:
        AssetMissing: the weights to start from are not there, there are fewer than two photos, or no two of one person.
        IncompatibleCode: the weights are of another architecture.
        FaceError, OutputUnwritable, FloatingPointError: see `loop.train`.
    """
    torch.manual_seed(loop.seed)
    encoder = Encoder()
    if init is not None:
        load_weights(encoder, init)
    return train_on_photos(
        encoder,
        MofaObjective(model, settings),
        lambda numbers: HeldOutPhotos(photos, numbers, model),
        (photos, faces, persons),
        folder,
        settings,
        loop,
        config={"regime": REGIME, **dataclasses.asdict(settings), "init": None if init is None else str(init)},
        devices=devices,
        resume=resume,
    )


def train_on_photos(
    network: nn.Module,
    objective: Objective,
    measure: Callable[[tuple[int, ...]], Validation],
    sources: tuple[PhotoCorpus, SyntheticCorpus | None, PhotoCorpus | None],
    folder: Path,
    settings: MofaSettings,
    loop: LoopSettings,
    *,
    config: Mapping[str, Any],
    rates: Mapping[str, float] | None = None,
    devices: Devices | None,
    resume: bool,
) -> nn.Module:
    """Train a network on photos with an objective that takes `MixedBatch`es.

    Args:
        network: changed in place.
        objective: what to minimise.
        measure: makes the validation on the photos of some numbers, which are not learnt from.
        sources: photos, rendered faces, photos of the same people.
        folder: of the run.
        settings: of the batches.
        loop: of the loop.
        config: see `loop.train`.
        rates: see there.
        devices: see there.
        resume: see there.

    Raises:
        AssetMissing, FaceError, OutputUnwritable, FloatingPointError: see `train_mofa`.
    """
    photos, faces, persons = sources
    if len(photos) < 2:
        raise AssetMissing(f"the regime `{config['regime']}` needs more than one photo, the corpus holds {len(photos)}")
    devices = devices or Devices()
    learnt, held_out = split_numbers(len(photos), settings.num_held_out)
    rare = rare_expressions(photos, learnt, settings.loader_workers) if settings.rare.are_any else {}
    drawn = learnt + settings.rare.of(rare)
    place = loop.seed, devices.rank, devices.count
    batches = MixedBatches(
        PhotoBatches(photos, settings.batch_size, *place, numbers=drawn),
        None if faces is None else SyntheticBatches(((faces, settings.faces),), *place),
        None if persons is None else PairBatches(persons, persons_of(persons), settings.pairs, *place),
    )
    return train(
        network,
        lambda first: batches.from_step(first, settings.loader_workers),
        objective,
        loop,
        folder,
        config=config,
        data_hash=_data_hash(photos, faces, persons),
        rates=rates,
        validate=measure(held_out) if devices.is_first else None,
        devices=devices,
        resume=resume,
    )


class MofaObjective:
    """The regime's loss, with its parts beside it.

    Args:
        model: the face model.
        settings: of the regime.
    """

    def __init__(self, model: FaceModel, settings: MofaSettings) -> None:
        self._settings = settings
        self._viewer = FaceViewer.of(model, ENCODER_CROP_PX)
        self._landmarks, self._landmark_weights = CropLandmarks(model), landmark_weights()
        self._population = expressions_of_random_faces()
        self._of_exact_codes = InverseObjective(model, "picture")
        self._points = LinearPoints(model, lambda values: values[model.regions["face"]])

    def __call__(self, encoder: nn.Module, batch: MixedBatch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        device = next(encoder.parameters()).device
        self._viewer, self._points = self._viewer.to(device), self._points.to(device)
        photos, num_pairs = batch.photos, 0
        if batch.pairs is not None:
            photos, num_pairs = join_batches((photos, batch.pairs)), len(batch.pairs) // 2
        photos, white = self._expose(photos.to(device))
        if batch.faces is None:
            of_photos, faces = encoder(photos.crops_srgb), None
        else:
            faces = self._expose(batch.faces.to(device))[0]
            answer = encoder(torch.cat((photos.crops_srgb, faces.crops_srgb)))
            of_photos = answer[: len(photos)]
        of_photos = _with_partners_identity(of_photos, num_pairs)
        view = self._viewer.look(of_photos.without_corrections())
        terms = self._of_photos(encoder, of_photos, view, photos, white)
        if faces is not None:
            terms["faces"] = self._of_faces(encoder, answer[len(photos) :], faces)
        parts = {name: term.mean() for name, term in terms.items()}
        return torch.stack(list(parts.values())).sum(), parts

    def _expose(self, batch: CropBatch) -> tuple[CropBatch, Tensor]:
        """Darken some crops, or take their colours; with them the light of exact codes, and the scenes' whites."""
        shares = self._settings.altered_share, self._settings.grey_share
        exposures = Exposures.draw(len(batch), *shares, batch.crops_srgb.device)
        crops = exposures.without_colours(batch.crops_srgb)
        white = scene_white(srgb_to_linear(crops.movedim(1, -1)[:, ::WHITE_STRIDE, ::WHITE_STRIDE]))
        code, gain = batch.code, exposures.gain
        if code is not None:
            code = code.with_light(gain[:, None, None] * code.illumination)
        return dataclasses.replace(batch, crops_srgb=exposures.expose(crops), code=code), gain[:, None] * white

    def _of_photos(
        self, encoder: nn.Module, answer: FaceCode[Tensor], view: FaceView, photos: CropBatch, white: Tensor
    ) -> dict[str, Float[Tensor, " batch"]]:
        """How badly codes explain their photos, seen as they are by the base model."""
        pictures, masks = photos.crops_srgb.movedim(1, -1), self._viewer.masks
        terms = colours_and_priors(answer, view, pictures, photos.covered, white, masks, self._settings.weights)
        if self._settings.landmarks:
            terms |= self._of_landmarks(self._landmarks.project(answer), photos)
        if self._settings.population:
            terms["population"] = self._settings.population * self._population.distance(answer.expression)
        return terms

    def _of_faces(self, encoder: nn.Module, answer: FaceCode[Tensor], faces: CropBatch) -> Float[Tensor, " batch"]:
        """How far codes are from the exact ones of rendered faces."""
        settings = self._settings
        distance = settings.faces_weight * self._of_exact_codes.distance(answer, faces)
        projected_px, everywhere = self._landmarks.project(answer), torch.ones_like(faces.visibility)
        opening = opening_distance(projected_px, faces.landmarks_px, everywhere, ENCODER_CROP_PX)
        geometry = geometry_distance(self._place(answer), self._place(faces.code))
        return distance + settings.faces_openings * opening + settings.faces_geometry * geometry

    def _place(self, code: FaceCode[Tensor] | None) -> Float[Tensor, "batch face 3"]:
        """The base model's vertices of the face; head frame, millimetres."""
        assert code is not None  # of rendered faces
        return self._points.place(code.shape, code.expression)

    def _of_landmarks(self, projected_px: Float[Tensor, "batch 478 2"], photos: CropBatch) -> dict[str, Tensor]:
        """How far a face's landmarks are from those that are known of its photo."""
        settings = self._settings
        weights = self._landmark_weights.to(photos.visibility) * photos.visibility
        detected_px = meet_when_shut(photos.landmarks_px)
        distance = landmark_distance(projected_px, detected_px, weights, ENCODER_CROP_PX)
        opening = opening_distance(projected_px, detected_px, photos.visibility, ENCODER_CROP_PX)
        return {"landmarks": settings.landmarks * distance, "openings": settings.openings * opening}


def _with_partners_identity(answer: FaceCode[Tensor], num_pairs: int) -> FaceCode[Tensor]:
    """Exchange shape and reflectance within the last pairs of a batch: both show one person."""
    if not num_pairs:
        return answer
    places = torch.arange(len(answer.shape), device=answer.shape.device)
    places[-2 * num_pairs :] = places[-2 * num_pairs :].reshape(-1, 2).flip(1).flatten()
    partner = answer[places]
    exchanged = answer.with_shape(partner.shape).with_reflectance(partner.reflectance)
    return exchanged.with_correctives(partner.geometry_corrective, partner.reflectance_corrective)


def _data_hash(photos: PhotoCorpus, *others: SyntheticCorpus | PhotoCorpus | None) -> str:
    """First 16 digits of the SHA-256 of what is learnt from."""
    digests = photos.digest() + "".join("" if other is None else other.digest() for other in others)
    return hashlib.sha256(digests.encode()).hexdigest()[:16]
