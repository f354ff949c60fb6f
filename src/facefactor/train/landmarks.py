# SPDX-License-Identifier: Apache-2.0
"""Train the landmark network: on renders, whose points are exact, and on photos, by a teacher's points.

    corpora of renders and photos ─looks, misses─► crop ─network─► points, visibility, face ─loss─► what is known

The loss of a face is the mean distance of its points in per cent of the crop's side, weighted by what each point marks
and by the trust in it, and that of how far eyes and mouth are opened: closed eyes are a matter of two pixels, which
nearly vanish among 478 points, and are drawn more often as well. Distances are not squared, since the teacher errs now
and then. Visibility is learnt where it is known, on renders alone; whether there is a face, on all
crops.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from facefactor.data.crops import mean_landmarks_mm
from facefactor.data.landmark_batches import LandmarkBatch, LandmarkBatches, Source, StoredFaces
from facefactor.data.photo_sample import estimate_yaw_deg
from facefactor.data.rare_photos import RareRepeats, by_rarity, rarity_of
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.landmark_network import LandmarkAnswer, LandmarkNetwork
from facefactor.evaluate.landmark_error import landmark_box_side_px
from facefactor.losses.landmark import landmark_distance, landmark_weights, opening_distance
from facefactor.photo.crop import FOCAL_PER_CROP_SIZE, NOMINAL_DISTANCE_MM
from facefactor.photo.landmarks import IBUG_51_FROM_478
from facefactor.train.checkpoint import load_weights
from facefactor.train.devices import Devices
from facefactor.train.held_out import split_numbers
from facefactor.train.loop import LoopSettings, train

REGIME = "landmarks"
OPENING_WEIGHT, SEEN_WEIGHT, FACE_WEIGHT = 1.5, 0.3, 0.3
"""Of the openings' distance and of the logarithmic losses beside the points' distance in per cent."""
TURNED_DEG = 40.0
"""A render whose yaw is larger is drawn more often: photos hardly show such faces, and the teacher errs on them."""


@dataclass(frozen=True)
class LandmarkSettings:
    """What is particular to the regime; the loop's own settings are in `LoopSettings`."""

    batch_size: int = 64
    """Crops per optimiser step and process."""
    photo_share: float = 0.55
    """Of the crops, where there are photos to learn from."""
    turned_share: float = 0.5
    """Of the renders, that are drawn from the turned ones alone."""
    miss_share: float = 0.12
    """Of the crops, that show no face."""
    rare: RareRepeats = RareRepeats()  # noqa: RUF009 (it is frozen)
    """How often photos of shut eyes and wide open mouths are drawn."""
    num_held_out: int = 256
    """Faces of the photos, and of the renders, that are kept for validation."""
    loader_workers: int = 0
    """Processes that read ahead; 0 reads each batch when it is its turn."""

    def __post_init__(self) -> None:
        if min(self.batch_size, self.num_held_out) < 1 or self.loader_workers < 0:
            sizes = f"{self.batch_size}, {self.num_held_out} and {self.loader_workers}"
            raise ValueError(f"batch_size and num_held_out must be at least 1, loader_workers at least 0, got {sizes}")
        shares = self.photo_share, self.turned_share, self.miss_share
        if min(shares) < 0 or self.turned_share > 1 or self.photo_share + self.miss_share >= 1:
            raise ValueError(
                "photo_share, turned_share and miss_share must be at least 0, turned_share at most 1, and the others "
                f"leave something for the renders, got {shares}"
            )


def train_landmarks(
    renders: StoredFaces,
    photos: StoredFaces | None,
    folder: Path,
    settings: LandmarkSettings,
    loop: LoopSettings,
    *,
    init: Path | None = None,
    devices: Devices | None = None,
    resume: bool = False,
) -> nn.Module:
    """Train a landmark network and return it with the averaged weights.

    Args:
        renders: faces with exact points.
        photos: faces with a teacher's points; None to learn from renders alone.
        folder: of the run.
        settings: of the regime.
        loop: of the loop.
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
    network = LandmarkNetwork()
    network.start_at(mean_points_px())
    if init is not None:
        load_weights(network, init)
    batches = landmark_batches(renders, photos, settings, loop.seed, devices)
    return train(
        network,
        lambda first: batches.from_step(first, settings.loader_workers),
        objective,
        loop,
        folder,
        config={"regime": REGIME, **dataclasses.asdict(settings), "init": None if init is None else str(init)},
        data_hash=_data_hash(renders, photos),
        validate=HeldOutLandmarks(renders, photos, settings.num_held_out) if devices.is_first else None,
        devices=devices,
        resume=resume,
    )


def objective(network: nn.Module, batch: LandmarkBatch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The regime's loss, with its parts beside it."""
    batch = batch.to(next(network.parameters()).device)
    answer: LandmarkAnswer = network(batch.decoded())
    points, openings = points_loss(answer.points_px, batch), openings_loss(answer.points_px, batch)
    seen = binary_cross_entropy_with_logits(answer.visibility_logits, batch.is_seen, reduction="none").mean(dim=1)
    seen = (seen * batch.is_render).sum() / batch.is_render.sum().clamp_min(1)
    face = binary_cross_entropy_with_logits(answer.face_logits, batch.is_face.float())
    loss = points + OPENING_WEIGHT * openings + SEEN_WEIGHT * seen + FACE_WEIGHT * face
    return loss, {"points_percent": points, "openings_percent": openings, "seen_loss": seen, "face_loss": face}


def points_loss(points_px: Float[Tensor, "batch 478 2"], batch: LandmarkBatch) -> Float[Tensor, ""]:
    """Mean over the faces of the weighted mean distance, per cent of the crop's side."""
    weights = landmark_weights().to(points_px.device) * batch.trust
    return _mean_percent(landmark_distance(points_px, batch.points_px, weights, ENCODER_CROP_PX), batch)


def openings_loss(points_px: Float[Tensor, "batch 478 2"], batch: LandmarkBatch) -> Float[Tensor, ""]:
    """The same of how far eyes and mouth are opened."""
    return _mean_percent(opening_distance(points_px, batch.points_px, batch.trust, ENCODER_CROP_PX), batch)


def _mean_percent(share: Float[Tensor, " batch"], batch: LandmarkBatch) -> Float[Tensor, ""]:
    """Mean over the faces, per cent."""
    return 100 * (share * batch.is_face).sum() / batch.is_face.sum().clamp_min(1)


def landmark_batches(
    renders: StoredFaces, photos: StoredFaces | None, settings: LandmarkSettings, seed: int, devices: Devices
) -> LandmarkBatches:
    """The batches of a run, without the faces that are held out."""
    misses = round(settings.miss_share * settings.batch_size)
    of_photos = round(settings.photo_share * settings.batch_size) if photos is not None else 0
    of_renders = settings.batch_size - misses - of_photos
    learnt, _ = split_numbers(len(renders), settings.num_held_out)
    turned = _chosen(renders, learnt, _is_turned)
    of_turned = round(settings.turned_share * of_renders) if turned else 0
    sources = [Source(renders, learnt, of_renders - of_turned), Source(renders, turned, of_turned)]
    if photos is not None:
        learnt, _ = split_numbers(len(photos), settings.num_held_out)
        rare = {}
        if settings.rare.are_any:
            found = photos.ask(rarity_of)
            rare = by_rarity(learnt, [found[number] for number in learnt])
        sources.append(Source(photos, learnt + settings.rare.of(rare), of_photos))
    used = tuple(source for source in sources if source.per_step)
    return LandmarkBatches(used, misses, seed, devices.rank, devices.count)


def _chosen(faces: StoredFaces, numbers: tuple[int, ...], is_wanted: Callable[[np.ndarray], bool]) -> tuple[int, ...]:
    """Those of some faces whose landmarks pass a test."""
    answers = faces.ask(is_wanted)
    return tuple(number for number in numbers if answers[number])


def _is_turned(landmarks_px: np.ndarray) -> bool:
    return abs(estimate_yaw_deg(landmarks_px)) > TURNED_DEG


class HeldOutLandmarks:
    """Measures a network on faces that no training sees.

    Args:
        renders: as in `train_landmarks`.
        photos: as there.
        count: faces of each at most.
    """

    def __init__(self, renders: StoredFaces, photos: StoredFaces | None, count: int) -> None:
        sources = {"photo": photos, "render": renders}
        self._batches = {
            name: faces.read_exact(split_numbers(len(faces), count)[1])
            for name, faces in sources.items()
            if faces is not None
        }

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        """Error of the 51 inner points, medians in per cent of √area of all points' box; wrong visibilities."""
        numbers, device = {}, next(network.parameters()).device
        for name, batch in self._batches.items():
            answer: LandmarkAnswer = network(batch.to(device).decoded())
            numbers[f"{name}_percent"] = float(inner_error_percent(answer.points_px.cpu(), batch).median())
            if name == "render":
                wrong = (answer.visibility_logits.cpu() > 0) != (batch.is_seen > 0.5)
                numbers["wrongly_seen_percent"] = 100 * float(wrong.float().mean())
        return numbers


def inner_error_percent(points_px: Float[Tensor, "batch 478 2"], batch: LandmarkBatch) -> Float[Tensor, " batch"]:
    """Mean distance of the 51 inner points over √area of the box of all points, of each face."""
    inner = list(IBUG_51_FROM_478)
    error_px = (points_px[:, inner] - batch.points_px[:, inner]).norm(dim=-1).mean(dim=-1)
    return 100 * error_px / landmark_box_side_px(batch.points_px)


def mean_points_px() -> Float[Tensor, "478 2"]:
    """Where the mean face's landmarks lie in the crop, about: seen from the front, their box in the middle."""
    pixels_per_mm = FOCAL_PER_CROP_SIZE * ENCODER_CROP_PX / NOMINAL_DISTANCE_MM
    flat_px = torch.from_numpy(mean_landmarks_mm()[:, :2] * (pixels_per_mm, -pixels_per_mm)).float()
    return flat_px - (flat_px.amin(dim=0) + flat_px.amax(dim=0)) / 2 + ENCODER_CROP_PX / 2


def _data_hash(renders: StoredFaces, photos: StoredFaces | None) -> str:
    """First 16 digits of the SHA-256 of what the corpora say of themselves."""
    records = renders.records() + (photos.records() if photos is not None else [])
    return hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()[:16]
