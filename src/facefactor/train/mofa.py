# SPDX-License-Identifier: Apache-2.0
"""Train the encoder on photos that nobody labelled: the model-based autoencoder (MoFA, arXiv:1703.10580).

    photo crop ─encoder─► code ─face model, camera, light─► coloured vertices ─► compared with the crop itself

The code in the middle has meaning because what follows the encoder is no network but the formulas of
`render/face_view.py`, whose gradients train it. The loss is the fit's (`losses/reconstruction.py`), with the landmarks
of `prepare` beside the colours (the paper's surrogate task; a weight of 0 leaves them out). Beyond the paper, each step
may also show some rendered faces, whose codes are known: photos say what real skin and light look like, rendered faces
hold shape, skin tone and light apart, which no single photo can.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from facefactor.code.face_code import FaceCode
from facefactor.data.batch import CropBatch
from facefactor.data.mixed_batches import MixedBatch, MixedBatches
from facefactor.data.photographs import PhotoBatches, PhotoCorpus
from facefactor.data.rare_photos import rare_expressions
from facefactor.data.synthetic_corpus import SyntheticBatches, SyntheticCorpus
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.encoder import Encoder
from facefactor.errors import AssetMissing
from facefactor.face.model import FaceModel
from facefactor.losses.landmark import CropLandmarks, landmark_distance, landmark_weights, opening_distance
from facefactor.losses.light import scene_white
from facefactor.losses.reconstruction import ReconstructionWeights, colours_and_priors
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.face_view import FaceViewer
from facefactor.train.checkpoint import load_weights
from facefactor.train.devices import Devices
from facefactor.train.held_out import HeldOutPhotos, split_numbers
from facefactor.train.inverse import InverseObjective
from facefactor.train.loop import LoopSettings, train

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
    rare_repeats: int = 5
    """How often more than others a photo is drawn that shows a closed eye or a wide open mouth."""
    landmarks: float = 20.0
    """Of the mean landmark distance, in crop sides, against colours in sRGB units; 0 trains without landmarks."""
    openings: float = 50.0
    """Of the distance in how far eyes and mouth are opened, in the same units; not used without landmarks."""
    faces_weight: float = 0.15
    """Of the regime `inverse`'s loss on rendered faces."""
    weights: ReconstructionWeights = ReconstructionWeights(photometric=3.0, light=1.5e-2)  # noqa: RUF009 (it is frozen)
    """Of colours and priors."""
    num_held_out: int = 256
    """Photos kept for validation, a quarter at most."""
    loader_workers: int = 0
    """Processes that read ahead; 0 reads each batch when it is its turn."""

    def __post_init__(self) -> None:
        if min(self.batch_size, self.faces, self.num_held_out) < 1:
            sizes = f"{self.batch_size}, {self.faces} and {self.num_held_out}"
            raise ValueError(f"batch_size, faces and num_held_out must be at least 1, got {sizes}")
        if min(self.rare_repeats, self.loader_workers) < 0:
            counts = f"{self.rare_repeats} and {self.loader_workers}"
            raise ValueError(f"rare_repeats and loader_workers must be at least 0, got {counts}")
        if min(self.landmarks, self.openings, self.faces_weight) < 0:
            weights = f"{self.landmarks}, {self.openings} and {self.faces_weight}"
            raise ValueError(f"landmarks, openings and faces_weight must be at least 0, got {weights}")


def train_mofa(
    photos: PhotoCorpus,
    faces: SyntheticCorpus | None,
    model: FaceModel,
    folder: Path,
    settings: MofaSettings,
    loop: LoopSettings,
    *,
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
        init: weights to start from; random ones when left out.
        devices: see `loop.train`.
        resume: go on from the folder's last checkpoint.

    Raises:
        AssetMissing: the weights to start from are not there, or there are fewer than two photos.
        IncompatibleCode: the weights are of another architecture.
        FaceError, OutputUnwritable, FloatingPointError: see `loop.train`.
    """
    if len(photos) < 2:
        raise AssetMissing(f"the regime `mofa` needs more than one photo, the corpus holds {len(photos)}")
    devices = devices or Devices()
    torch.manual_seed(loop.seed)
    encoder = Encoder()
    if init is not None:
        load_weights(encoder, init)
    learnt, held_out = split_numbers(len(photos), settings.num_held_out)
    rare = rare_expressions(photos, learnt) if settings.rare_repeats else ()
    drawn = learnt + settings.rare_repeats * rare
    batches = MixedBatches(
        PhotoBatches(photos, settings.batch_size, drawn, loop.seed, rank=devices.rank, world_size=devices.count),
        None if faces is None else SyntheticBatches(((faces, settings.faces),), loop.seed, devices.rank, devices.count),
    )
    return train(
        encoder,
        lambda first: batches.from_step(first, settings.loader_workers),
        MofaObjective(model, settings),
        loop,
        folder,
        config={"regime": REGIME, **dataclasses.asdict(settings), "init": None if init is None else str(init)},
        data_hash=_data_hash(photos, faces),
        validate=HeldOutPhotos(photos, held_out, model) if devices.is_first else None,
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
        self._of_faces = InverseObjective(model, "picture")

    def __call__(self, encoder: nn.Module, batch: MixedBatch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        device = next(encoder.parameters()).device
        photos = batch.photos.to(device)
        if batch.faces is None:
            return self._of_photos(encoder(photos.crops_srgb), photos)
        faces = batch.faces.to(device)
        answer = encoder(torch.cat((photos.crops_srgb, faces.crops_srgb)))
        loss, parts = self._of_photos(answer[: len(photos)], photos)
        of_faces = self._settings.faces_weight * self._of_faces.distance(answer[len(photos) :], faces).mean()
        return loss + of_faces, {**parts, "faces": of_faces}

    def _of_photos(self, answer: FaceCode[Tensor], photos: CropBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """How badly codes explain their photos."""
        viewer, settings = self._viewer.to(photos.crops_srgb.device), self._settings
        pictures = photos.crops_srgb.movedim(1, -1)
        terms = colours_and_priors(
            answer,
            viewer.look(answer),
            pictures,
            _covered(photos),
            scene_white(srgb_to_linear(pictures[:, ::WHITE_STRIDE, ::WHITE_STRIDE])),
            viewer.masks,
            settings.weights,
        )
        if settings.landmarks:
            terms |= self._of_landmarks(answer, photos)
        parts = {name: term.mean() for name, term in terms.items()}
        return torch.stack(list(parts.values())).sum(), parts

    def _of_landmarks(self, answer: FaceCode[Tensor], photos: CropBatch) -> dict[str, Tensor]:
        """The same by the landmarks that are known of the photos."""
        projected_px, settings = self._landmarks.project(answer), self._settings
        weights = self._landmark_weights.to(photos.visibility) * photos.visibility
        distance = landmark_distance(projected_px, photos.landmarks_px, weights, ENCODER_CROP_PX)
        opening = opening_distance(projected_px, photos.landmarks_px, photos.visibility, ENCODER_CROP_PX)
        return {"landmarks": settings.landmarks * distance, "openings": settings.openings * opening}


def _covered(photos: CropBatch) -> Tensor:
    """(batch, height, width, 1): 1 where a crop shows its photo."""
    if photos.coverage is None:
        return torch.ones_like(photos.crops_srgb[:, 0, :, :, None])
    return photos.coverage.to(photos.crops_srgb)[..., None]


def _data_hash(photos: PhotoCorpus, faces: SyntheticCorpus | None) -> str:
    """First 16 digits of the SHA-256 of what is learnt from."""
    digests = photos.digest() + ("" if faces is None else faces.digest())
    return hashlib.sha256(digests.encode()).hexdigest()[:16]
