# SPDX-License-Identifier: Apache-2.0
"""How well trained encoders answer from one look: the table that compares training regimes (torch).

    weights ─┬─ rendered faces, exact codes ──────────────┐
             └─ prepared photos, landmarks and their fit ─┴─► EncoderMeasure each ─► report.md, report.json, sheets

On both kinds of pictures, medians over the faces:

    rotation       angle between answered and true rotation; on photos the truth is the fit to the landmarks
    landmarks      error of the 51 inner points, per cent of the side of the face (`landmark_error.py`), also by yaw
    photometric    mean ℓ2 distance of sRGB colours over the visible skin, every vertex counted by its pixels, with the
                   answer's own geometry, as the fit reports it; beside it the baseline, the same geometry with the mean
                   albedo under the best constant white light
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from facefactor.camera.pose import (
    axis_angle_from_matrix,
    euler_deg_from_matrix,
    matrix_from_axis_angle,
    matrix_from_euler_deg,
    move_to_camera,
)
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.data.batch import CropBatch
from facefactor.data.photographs import PhotoCorpus, exact_batch
from facefactor.data.synthetic import SyntheticFaces
from facefactor.encode import ENCODER_CROP_PX
from facefactor.evaluate.landmark_error import face_box_side_px, landmark_box_side_px, landmark_percent
from facefactor.export.atomic import write_bytes, write_png
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.batch_colours import BatchColours, FaceViews
from facefactor.fit.batch_geometry import BatchGeometry
from facefactor.losses.landmark import CropLandmarks, landmark_weights
from facefactor.losses.model_space import rotation_distance
from facefactor.render.views import PosedFace, render_views

YAW_BINS_DEG = ((0, 20), (20, 40), (40, 60))
BATCH_SIZE = 64
FIT_STEPS = 12
"""Gauss–Newton steps from the mean face at the estimated yaw."""
FIRST_FACE = 2_000_000_000
"""Number of the first rendered face: behind those that training learns from or validates on."""
SHEET_PHOTOS, SHEET_COLUMNS, VIEWS = 48, 3, 4
"""Photos on a sheet, rows of pictures side by side, and how many views follow each photo."""


@dataclass(frozen=True, eq=False)
class Suite:
    """Crops with what encoders should answer."""

    name: str
    crops_srgb: Float[Tensor, "faces 3 size size"]
    landmarks_px: Float[Tensor, "faces 478 2"]
    side_px: Float[Tensor, " faces"]
    """Of the faces, see `landmark_error.py`."""
    rotation: Float[Tensor, "faces 3"]
    coverage: Bool[Tensor, "faces size size"] | None = None
    """Which pixels of the crops show the photo; None for all."""

    @property
    def yaw_deg(self) -> np.ndarray:
        """(faces,) of the true rotations."""
        return euler_deg_from_matrix(matrix_from_axis_angle(self.rotation.double()))[:, 0].numpy()


@dataclass(frozen=True)
class EncoderMeasure:
    """One encoder on one suite; medians over its faces, nan where there is none."""

    encoder: str
    suite: str
    faces: int
    rotation_deg: float
    landmark_percent: float
    landmark_percent_by_yaw: Mapping[str, float]
    photometric: float
    baseline: float
    """Of photometric."""


def rendered_suite(faces: SyntheticFaces, count: int) -> Suite:
    """Render faces that no training sees, with exact codes."""
    batch = faces.make_batch(FIRST_FACE, count)
    assert batch.code is not None
    side_px = landmark_box_side_px(batch.landmarks_px)
    return Suite("rendered", batch.crops_srgb, batch.landmarks_px, side_px, batch.code.rotation)


def photo_suite(photos: PhotoCorpus, model: FaceModel) -> Suite:
    """Take all photos of a corpus, and fit a pose to the landmarks of each."""
    samples = [photos[number] for number in range(len(photos))]
    batch = exact_batch(samples)
    yaws_deg = torch.tensor([sample.yaw_deg for sample in samples])
    rotation = fit_rotations(batch, yaws_deg, model)
    return Suite("photos", batch.crops_srgb, batch.landmarks_px, face_box_side_px(samples), rotation, batch.coverage)


@torch.no_grad()
def fit_rotations(batch: CropBatch, yaw_deg: Float[Tensor, " batch"], model: FaceModel) -> Float[Tensor, "batch 3"]:
    """Fit pose, shape and expression to the landmarks of photos, and return the rotations.

    Args:
        batch: exact crops.
        yaw_deg: about how far each face is turned.
        model: the face model.
    """
    landmarks = CropLandmarks(model)
    fitter = BatchGeometry(landmarks.points, landmarks.K, batch.crops_srgb.shape[-1], FIT_STEPS)
    zero = torch.zeros_like(yaw_deg)
    turned = axis_angle_from_matrix(matrix_from_euler_deg(torch.stack((yaw_deg, zero, zero), dim=-1)))
    start = FaceCode.neutral((len(batch),)).to_torch()
    start = start.with_pose(turned, start.translation)
    weights = landmark_weights() * batch.visibility
    chunks = [slice(first, first + BATCH_SIZE) for first in range(0, len(batch), BATCH_SIZE)]
    return torch.cat([fitter.fit(start[c], batch.landmarks_px[c], weights[c]).rotation for c in chunks])


class EncoderMeter:
    """Measures encoders with one face model.

    Args:
        model: the face model.
    """

    def __init__(self, model: FaceModel) -> None:
        self._landmarks = CropLandmarks(model)
        self._colours = BatchColours(model, self._landmarks.K)

    @torch.no_grad()
    def measure(self, name: str, encoder: nn.Module, suite: Suite) -> EncoderMeasure:
        """Measure one encoder, in evaluation mode, on one suite."""
        answer = answer_in_batches(encoder, suite.crops_srgb)
        percent = landmark_percent(self._landmarks.project(answer), suite.landmarks_px, suite.side_px).numpy()
        photometric, baseline = self._photometric(answer, suite)
        yaw_deg = np.abs(suite.yaw_deg)
        by_yaw = {f"{low}-{high}": _median(percent[(yaw_deg >= low) & (yaw_deg < high)]) for low, high in YAW_BINS_DEG}
        return EncoderMeasure(
            encoder=name,
            suite=suite.name,
            faces=len(percent),
            rotation_deg=float(torch.rad2deg(rotation_distance(answer.rotation, suite.rotation).sqrt()).median()),
            landmark_percent=_median(percent),
            landmark_percent_by_yaw=by_yaw,
            photometric=_median(photometric),
            baseline=_median(baseline),
        )

    def _photometric(self, code: FaceCode[Tensor], suite: Suite) -> tuple[np.ndarray, np.ndarray]:
        """Errors of codes and of their baselines, (N,) each."""
        errors, baselines = [], []
        for part, views in look_in_batches(self._colours, code, suite.crops_srgb, suite.coverage):
            albedo = self._colours.albedo(part.full_reflectance)
            errors.append(self._colours.photometric_error(views, albedo, part.illumination))
            baselines.append(self._colours.baseline_error(views))
        return torch.cat(errors).numpy(), torch.cat(baselines).numpy()


@torch.no_grad()
def answer_in_batches(encoder: nn.Module, crops_srgb: Float[Tensor, "faces 3 size size"]) -> FaceCode[Tensor]:
    """Encode any number of crops, in evaluation mode, and return the codes on the CPU."""
    device = next(encoder.parameters()).device
    answers = [encoder(crops.to(device)).map(Tensor.cpu) for crops in crops_srgb.split(BATCH_SIZE)]
    num_geometry = answers[0].geometry_corrective.shape[-1]
    return FaceCode.unpack(torch.cat([answer.pack() for answer in answers]), num_geometry)


def look_in_batches(
    colours: BatchColours,
    code: FaceCode[Tensor],
    crops_srgb: Float[Tensor, "faces 3 size size"],
    coverage: Bool[Tensor, "faces size size"] | None,
) -> Iterator[tuple[FaceCode[Tensor], FaceViews]]:
    """See the skin of any number of faces, some at a time: their codes and what their crops show of them.

    Args:
        colours: of the face model.
        code: the faces, on the CPU.
        crops_srgb: that show them.
        coverage: which pixels show the photo; None for all.
    """
    for first in range(0, len(crops_srgb), BATCH_SIZE):
        some = slice(first, first + BATCH_SIZE)
        covered = None if coverage is None else coverage[some]
        yield code[some], colours.look(code[some], crops_srgb[some], covered)


@torch.no_grad()
def draw_encoder_sheet(
    encoder: nn.Module, suite: Suite, model: FaceModel, opacity: Float[np.ndarray, " vertices"]
) -> np.ndarray:
    """Draw photo, overlay, geometry, albedo and shading of photos spread evenly over a suite: (H, W, 3) uint8.

    Args:
        encoder: in evaluation mode.
        suite: to draw from.
        model: the face model.
        opacity: of the native vertices in the overlay.
    """
    count = min(SHEET_PHOTOS, len(suite.crops_srgb))
    crops = suite.crops_srgb[torch.linspace(0, len(suite.crops_srgb) - 1, count).long()]
    code, face = answer_in_batches(encoder, crops), MorphableFace(model, native_albedo=True)
    heads, R = face.vertices(code.full_shape, code.expression), matrix_from_axis_angle(code.rotation)
    vertices = move_to_camera(heads, R, code.translation).numpy()
    albedo, lights = face.albedo(code.full_reflectance).numpy(), code.illumination.numpy()
    K, rows = crop_intrinsics(ENCODER_CROP_PX), []
    for item, crop in enumerate(crops.movedim(1, -1).numpy()):
        posed = PosedFace(vertices[item], albedo[item], lights[item], model.triangles, opacity)
        rows.append(np.concatenate([crop, *render_views(posed, K, crop)[:VIEWS]], axis=1))
    rows += [np.zeros_like(rows[0])] * (-count % SHEET_COLUMNS)
    columns = [np.concatenate(rows[first::SHEET_COLUMNS]) for first in range(SHEET_COLUMNS)]
    return np.rint(255 * np.concatenate(columns, axis=1).clip(0, 1)).astype(np.uint8)


def write_encoder_report(
    out: Path, measures: Sequence[EncoderMeasure], sheets: Mapping[str, np.ndarray], facts: Mapping[str, object]
) -> None:
    """Write report.md, report.json and sheet_NAME.png.

    Args:
        out: folder; made if needed.
        measures: of all encoders and suites.
        sheets: pictures by encoder.
        facts: what was measured, for both reports.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    content = {"facts": dict(facts), "measures": [asdict(measure) for measure in measures]}
    write_bytes(out / "report.json", (json.dumps(content, indent=1) + "\n").encode())
    for name, sheet in sheets.items():
        write_png(out / _sheet_name(name), sheet)
    write_bytes(out / "report.md", markdown(measures, list(sheets), facts).encode())


def markdown(measures: Sequence[EncoderMeasure], sheets: Sequence[str], facts: Mapping[str, object]) -> str:
    """The report: one table for each suite, and the sheets."""
    lines = ["# Encoders", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    bins = [f"{low}–{high}°" for low, high in YAW_BINS_DEG]
    head = ["encoder", "rotation °", "landmarks %", *bins, "photometric", "baseline", "ratio"]
    for suite in dict.fromkeys(measure.suite for measure in measures):
        chosen = [measure for measure in measures if measure.suite == suite]
        lines += ["", f"## {suite.capitalize()} ({chosen[0].faces} faces, medians)", ""]
        lines += ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        lines += [_table_row(measure) for measure in chosen]
    lines += ["", *(f"![{name}]({_sheet_name(name)})" for name in sheets)]
    return "\n".join(lines) + "\n"


def _table_row(measure: EncoderMeasure) -> str:
    angles = [f"{measure.rotation_deg:.2f}", f"{measure.landmark_percent:.2f}"]
    by_yaw = ["–" if np.isnan(value) else f"{value:.2f}" for value in measure.landmark_percent_by_yaw.values()]
    colours = [f"{measure.photometric:.3f}", f"{measure.baseline:.3f}", f"{measure.photometric / measure.baseline:.2f}"]
    return "| " + " | ".join([measure.encoder, *angles, *by_yaw, *colours]) + " |"


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _sheet_name(encoder: str) -> str:
    return f"sheet_{encoder.replace(', ', '_')}.png"
