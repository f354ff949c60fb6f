# SPDX-License-Identifier: Apache-2.0
"""Train the encoder on rendered faces, whose codes are known: InverseFaceNet's first step (arXiv:1703.10956, sec. 5).

    synthetic faces (seed, number) ─► crop ─encoder─► code ─model-space loss─► exact code

Faces are made while the network learns, each of them once, or read out of a corpus that was written before. This is
round 0 of the regime: no photo is seen but those given as backgrounds, so weights trained without any are free of every
photo's licence. Breeding, which moves the faces towards real ones, starts from its weights.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.code.face_code import FaceCode
from facefactor.data.batch import CropBatch
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.data.synthetic_corpus import SyntheticBatches, SyntheticCorpus
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.encoder import Encoder
from facefactor.evaluate.landmark_error import landmark_box_side_px, landmark_percent
from facefactor.face.model import FaceModel
from facefactor.losses.landmark import CropLandmarks, landmark_loss, landmark_weights
from facefactor.losses.model_space import (
    CodeDistances,
    CoefficientEffects,
    GroupWeights,
    code_distances,
    model_space_loss,
    parameter_loss,
    rotation_distance,
)
from facefactor.losses.skin_colour import SkinColours
from facefactor.train.checkpoint import load_weights
from facefactor.train.devices import Devices
from facefactor.train.loop import LoopSettings, train

HELD_OUT_FIRST = 1_000_000_000
"""Number of the first face that is kept for validation; training never comes so far."""

LANDMARK_WEIGHT = 50.0
"""Of the projected landmarks' squared distance, in crop sides, beside the model-space loss: one half of the whole at
the errors that training ends with."""
COLOUR_WEIGHT = 1.0
"""Of the skin's colour distance, sRGB units; the paper's weights leave the light, at (20 / 400)² of the rotation's
share, next to unlearnt."""

Loss = Literal["picture", "model-space", "parameters"]
LOSSES: tuple[Loss, ...] = get_args(Loss)


@dataclass(frozen=True)
class InverseSettings:
    """What is particular to the regime; the loop's own settings are in `LoopSettings`."""

    batch_size: int = 64
    """Faces per optimiser step and process."""
    loss: Loss = "picture"
    """See `InverseObjective`."""
    render_threads: int = 1
    """Batches made at the same time."""
    subdivided: bool = False
    """Draw the refined mesh: finer lips and brows, at twice the rendering time."""
    num_held_out: int = 256
    """Faces kept for validation."""
    loader_workers: int = 0
    """Processes that read a written corpus ahead; 0 reads each batch when it is its turn."""

    def __post_init__(self) -> None:
        if self.loader_workers < 0:
            raise ValueError(f"loader_workers must be at least 0, got {self.loader_workers}")
        for name in ("batch_size", "render_threads", "num_held_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def train_inverse(
    faces: SyntheticFaces,
    folder: Path,
    settings: InverseSettings,
    loop: LoopSettings,
    *,
    corpus: SyntheticCorpus | None = None,
    init: Path | None = None,
    devices: Devices | None = None,
    resume: bool = False,
) -> nn.Module:
    """Train an encoder on synthetic faces and return it with the averaged weights.

    Args:
        faces: the source of the faces kept for validation and, without a corpus, of those to learn from, which are
            taken from number 0 up.
        folder: of the run.
        settings: of the regime.
        loop: of the loop.
        corpus: written faces to learn from.
        init: weights to start from; random ones when left out.
        devices: see `loop.train`.
        resume: go on from the folder's last checkpoint.

    Raises:
        AssetMissing: the weights to start from are not there.
        IncompatibleCode: they are of another architecture.
        FaceError, OutputUnwritable, FloatingPointError: see `loop.train`.
    """
    devices = devices or Devices()
    torch.manual_seed(loop.seed)
    encoder = Encoder()
    if init is not None:
        load_weights(encoder, init)
    config = {"regime": "inverse", **dataclasses.asdict(settings), "synthetic": dataclasses.asdict(faces.settings)}
    return train(
        encoder,
        lambda first: _batches(corpus or faces, settings, devices, first, loop.seed),
        InverseObjective(faces.model, settings.loss),
        loop,
        folder,
        config={**config, "init": None if init is None else str(init)},
        data_hash=_data_hash(faces) if corpus is None else corpus.digest(),
        validate=HeldOutFaces(faces, settings.num_held_out) if devices.is_first else None,
        devices=devices,
        resume=resume,
    )


def synthetic_settings(settings: InverseSettings, seed: int) -> SyntheticSettings:
    """The faces that a run of these settings learns from."""
    return SyntheticSettings(seed=seed, subdivided=settings.subdivided)


class HeldOutFaces:
    """Measures an encoder on synthetic faces that no training sees.

    Args:
        faces: their source.
        count: how many.
    """

    def __init__(self, faces: SyntheticFaces, count: int) -> None:
        self._batch = faces.make_batch(HELD_OUT_FIRST, count)
        self._side_px = landmark_box_side_px(self._batch.landmarks_px)
        self._landmarks = CropLandmarks(faces.model)
        self._effects = CoefficientEffects.of(faces.model)

    @torch.no_grad()
    def __call__(self, encoder: nn.Module) -> Mapping[str, float]:
        """Landmark error (% of √area of the landmarks' box), angle, and each part's distance; medians."""
        truth, device = _code_of(self._batch), next(encoder.parameters()).device
        answer = encoder(self._batch.crops_srgb.to(device)).map(Tensor.cpu)
        error_percent = landmark_percent(self._landmarks.project(answer), self._batch.landmarks_px, self._side_px)
        angle_deg = torch.rad2deg(rotation_distance(answer.rotation, truth.rotation).sqrt())
        distances = code_distances(answer, truth, self._effects)
        return {
            "landmark_percent": float(error_percent.median()),
            "rotation_deg": float(angle_deg.median()),
            **{f"{name}_distance": float(getattr(distances, name).median()) for name in CodeDistances._fields[1:]},
        }


class InverseObjective:
    """The regime's loss, with the parts' distances beside it.

    "parameters" is plain ℓ2 on the code's numbers, "model-space" InverseFaceNet's loss (sec. 5.1). "picture" adds what
    shows in the picture, the places of the landmarks and the colours of the skin: errors of several parts that cancel
    there cost little, and those that add up cost what is seen.

    Args:
        model: the face model.
        loss: which of them.
    """

    def __init__(self, model: FaceModel, loss: Loss) -> None:
        self._effects, self._weights, self._loss = CoefficientEffects.of(model), GroupWeights(), loss
        self._landmarks, self._landmark_weights = CropLandmarks(model), landmark_weights()
        self._colours = SkinColours(model)

    def __call__(self, encoder: nn.Module, batch: CropBatch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        batch = batch.to(next(encoder.parameters()).device)
        answer = encoder(batch.crops_srgb)
        with torch.no_grad():
            distances = code_distances(answer, _code_of(batch), self._effects)
        parts = {f"{name}_distance": value.mean() for name, value in distances._asdict().items()}
        return self.distance(answer, batch).mean(), parts

    def distance(self, answer: FaceCode[Tensor], batch: CropBatch) -> Float[Tensor, " batch"]:
        """The loss of each face.

        Args:
            answer: codes.
            batch: the rendered faces that they should describe.
        """
        truth = _code_of(batch)
        if self._loss == "parameters":
            return parameter_loss(answer, truth)
        loss = model_space_loss(answer, truth, self._effects, self._weights)
        if self._loss == "picture":
            loss = loss + LANDMARK_WEIGHT * self._landmark_distance(answer, batch.landmarks_px)
            loss = loss + COLOUR_WEIGHT * self._colours.distance(answer, truth)
        return loss

    def _landmark_distance(self, answer: FaceCode[Tensor], exact_px: Tensor) -> Tensor:
        """Of rendered faces: hidden points are as exact as seen ones."""
        weights = self._landmark_weights.to(exact_px).expand(len(exact_px), -1)
        return landmark_loss(self._landmarks.project(answer), exact_px, weights, ENCODER_CROP_PX)


def _batches(
    source: SyntheticFaces | SyntheticCorpus, settings: InverseSettings, devices: Devices, first_step: int, seed: int
) -> Iterable[CropBatch]:
    """This process' batches from a step on; a step's faces are numbered on from rank to rank."""
    if isinstance(source, SyntheticCorpus):
        batches = SyntheticBatches(((source, settings.batch_size),), seed, devices.rank, devices.count)
        return batches.from_step(first_step, settings.loader_workers)
    first = (first_step * devices.count + devices.rank) * settings.batch_size
    return source.stream(settings.batch_size, first, settings.render_threads, stride=devices.count)


def _code_of(batch: CropBatch) -> FaceCode[Tensor]:
    if batch.code is None:
        raise ValueError("the regime `inverse` learns from faces whose codes are known")
    return batch.code


def _data_hash(faces: SyntheticFaces) -> str:
    """First 16 digits of the SHA-256 of what decides every face: model, settings, number of background photos."""
    parts = [faces.model.model_hash, dataclasses.asdict(faces.settings), len(faces.backgrounds.photos)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
