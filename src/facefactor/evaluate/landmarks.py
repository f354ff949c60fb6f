# SPDX-License-Identifier: Apache-2.0
"""How well our landmark network agrees with its teacher, and both with the truth where it is known.

    photo ─detector─► one box ─┬─ network ─► 478 points ─┬─ apart, per cent of √area of the box
                               └─ teacher ─► 478 points ─┘
                                         each ─ apart from NAME.mat's points, per cent of √area of the box around those

Both detectors are given the same box: the largest one, or where there is truth the one that lies over it. Truth is that
of AFLW2000-3D (Zhu et al. 2016, arXiv:1511.07212), whose files hold the 68 iBUG points with a depth, hidden ones too.
Its annotators place some points elsewhere than MediaPipe's mesh has them, so neither can reach zero.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefactor.errors import IncompatibleCode
from facefactor.export.atomic import write_bytes, write_png
from facefactor.photo.crop import crop_image, face_crop, photo_to_crop
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import IBUG_51_FROM_478, Landmarks
from facefactor.photo.read import Photo

NUM_CONTOUR = 17
"""iBUG points of the jaw line, which come first and are not measured."""
YAW_GROUPS_DEG = ((0, 30), (30, 60), (60, 90))
SHEET_COLUMNS, SHEET_TILE_PX, SHEET_FACES = 8, 256, 48
NETWORK_COLOUR, TEACHER_COLOUR, HIDDEN_COLOUR = (60, 255, 60), (255, 60, 60), (60, 120, 255)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a photo's face."""

    inner_px: NDArray[np.float64]
    """(51, 2) iBUG points 17 to 67, pixels of the photo."""
    box: FaceBox
    """Around all 68 points."""
    yaw_deg: float
    """How far the face is turned to a side, at least 0."""


@dataclass(frozen=True)
class LandmarkMeasure:
    """One photo's errors; None where a detector found no face, or there is no truth."""

    photo: str
    agreement_percent: float | None
    """Network to teacher, inner points, over √area of the face box."""
    network_percent: float | None
    """Network to truth, inner points, over √area of the true points' box."""
    teacher_percent: float | None
    """Teacher to truth, likewise."""
    yaw_deg: float | None
    """True."""
    found_by_network: bool
    found_by_teacher: bool
    network_ms: float
    """Of one detection in a box that is known."""
    teacher_ms: float


def read_truth(path: Path) -> Truth:
    """Read a file of AFLW2000-3D.

    Raises:
        IncompatibleCode: it is no such file.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
        points_px = content["pt3d_68"][:2].T.astype(np.float64) - 0.5  # MATLAB's first pixel has its centre at 1
        yaw_rad = float(content["Pose_Para"][0, 1])
    except (KeyError, ValueError, NotImplementedError, IndexError, MatReadError) as error:
        raise IncompatibleCode(f"{path}: holds no truth in the form of AFLW2000-3D: {error!r}") from None
    left, top = points_px.min(axis=0).tolist()
    right, bottom = points_px.max(axis=0).tolist()
    box = FaceBox(left, top, right - left, bottom - top, confidence=1.0)
    return Truth(points_px[NUM_CONTOUR:], box, abs(math.degrees(yaw_rad)))


def choose_box(boxes: Sequence[FaceBox], truth: Truth | None) -> FaceBox | None:
    """The first box, or the one whose centre is nearest to the true face's, if it lies within that."""
    if truth is None or not boxes:
        return boxes[0] if boxes else None
    nearest = min(boxes, key=lambda box: math.dist(box.centre_px, truth.box.centre_px))
    reach_px = math.sqrt(truth.box.area_px2) / 2
    return nearest if math.dist(nearest.centre_px, truth.box.centre_px) < reach_px else None


def inner_error_percent(points_px: NDArray[np.float64], others_px: NDArray[np.float64], box: FaceBox) -> float:
    """Mean distance of (51, 2) points, over √area of a box."""
    return float(100 * np.linalg.norm(points_px - others_px, axis=1).mean() / math.sqrt(box.area_px2))


def measure_photo(
    name: str,
    box: FaceBox,
    network: Landmarks | None,
    teacher: Landmarks | None,
    truth: Truth | None,
    network_ms: float,
    teacher_ms: float,
) -> LandmarkMeasure:
    """Compare what was found in a box."""
    inner = list(IBUG_51_FROM_478)

    def from_truth(found: Landmarks | None) -> float | None:
        if found is None or truth is None:
            return None
        return inner_error_percent(found.points_px[inner], truth.inner_px, truth.box)

    agreement = None
    if network is not None and teacher is not None:
        agreement = inner_error_percent(network.points_px[inner], teacher.points_px[inner], box)
    return LandmarkMeasure(
        photo=name,
        agreement_percent=agreement,
        network_percent=from_truth(network),
        teacher_percent=from_truth(teacher),
        yaw_deg=None if truth is None else truth.yaw_deg,
        found_by_network=network is not None,
        found_by_teacher=teacher is not None,
        network_ms=network_ms,
        teacher_ms=teacher_ms,
    )


def summarise(measures: Sequence[LandmarkMeasure], num_photos: int) -> dict[str, float]:
    """Counts, medians and 90th percentiles; against the truth over the photos in which both found the face."""
    summary: dict[str, float] = {
        "photos": num_photos,
        "boxes": len(measures),
        "found_by_network": sum(measure.found_by_network for measure in measures),
        "found_by_teacher": sum(measure.found_by_teacher for measure in measures),
    }
    agreements = [m.agreement_percent for m in measures if m.agreement_percent is not None]
    summary |= _spread("agreement_percent", agreements)
    true = [m for m in measures if m.network_percent is not None and m.teacher_percent is not None]
    for group, chosen in {"": true, **_by_yaw(true)}.items():
        if chosen:
            summary[f"with_truth{group}"] = len(chosen)
            for who in ("network", "teacher"):
                values = [getattr(measure, f"{who}_percent") for measure in chosen]
                summary[f"{who}_percent_mean{group}"] = float(np.mean(values))
                summary |= _spread(f"{who}_percent", values, group)
    for who in ("network", "teacher"):
        summary[f"{who}_ms_median"] = float(np.median([getattr(measure, f"{who}_ms") for measure in measures]))
    return summary


def draw_face(photo: Photo, network: Landmarks | None, teacher: Landmarks | None, box: FaceBox) -> NDArray[np.uint8]:
    """Draw the teacher's points in red and over them the network's, green where they are seen and blue where hidden.

    Returns:
        (SHEET_TILE_PX, SHEET_TILE_PX, 3).
    """
    found = network or teacher
    T_photo_tile = face_crop(box if found is None else found, SHEET_TILE_PX)
    tile = np.rint(crop_image(photo, T_photo_tile, SHEET_TILE_PX) * 255).astype(np.uint8)
    if teacher is not None:
        _dot(tile, photo_to_crop(teacher.points_px, T_photo_tile), np.array(TEACHER_COLOUR))
    if network is not None:
        colours = np.where(network.visibility[:, None] > 0.5, NETWORK_COLOUR, HIDDEN_COLOUR)
        _dot(tile, photo_to_crop(network.points_px, T_photo_tile), colours)
    return tile


def write_landmark_report(
    out: Path,
    weights: str,
    measures: Sequence[LandmarkMeasure],
    num_photos: int,
    failed: Sequence[str],
    tiles: Sequence[NDArray[np.uint8]],
) -> dict[str, float]:
    """Write report.md, report.json and sheet.png, and return the summary.

    Args:
        out: folder; made if needed.
        weights: which network was measured.
        measures: of the photos with a box; at least one.
        num_photos: that were looked at.
        failed: "file: cause" of those without.
        tiles: of `draw_face`, at least one.
    """
    summary = summarise(measures, num_photos)
    content = {"weights": weights, "summary": summary, "failed": list(failed), "photos": [asdict(m) for m in measures]}
    write_bytes(out / "report.json", (json.dumps(content, indent=1) + "\n").encode())
    lines = [f"# Landmarks, network {weights}", "", "| measure | value |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in summary.items()]
    lines += ["", "Without a box:" if failed else "A face was detected in every photo.", ""]
    write_bytes(out / "report.md", ("\n".join(lines + [f"- {cause}" for cause in failed]) + "\n").encode())
    write_png(out / "sheet.png", _sheet(tiles))
    return summary


def _spread(name: str, values: Sequence[float], group: str = "") -> dict[str, float]:
    if not values:
        return {}
    return {
        f"{name}_median{group}": float(np.median(values)),
        f"{name}_90{group}": float(np.percentile(values, 90)),
    }


def _by_yaw(measures: Sequence[LandmarkMeasure]) -> dict[str, list[LandmarkMeasure]]:
    """Groups by how far the face is turned, named for the end of the measure's name."""
    return {
        f"_yaw_{low}_{high}": [m for m in measures if m.yaw_deg is not None and low <= m.yaw_deg < high]
        for low, high in YAW_GROUPS_DEG
    }


def _dot(tile: NDArray[np.uint8], points_px: NDArray[np.float64], colours: NDArray[np.integer]) -> None:
    """Colour the two by two pixels around points, in place; points outside are left out."""
    for right, down in product((-1, 0), (-1, 0)):
        column, row = np.rint(points_px + np.array([right, down])).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < tile.shape[1]) & (row < tile.shape[0])
        tile[row[inside], column[inside]] = np.broadcast_to(colours, (len(points_px), 3))[inside]


def _sheet(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Tiles in rows, the last one filled up with black."""
    rows = -(-len(tiles) // SHEET_COLUMNS)
    sheet = np.zeros((rows, SHEET_COLUMNS, SHEET_TILE_PX, SHEET_TILE_PX, 3), dtype=np.uint8)
    sheet.reshape(-1, SHEET_TILE_PX, SHEET_TILE_PX, 3)[: len(tiles)] = tiles
    return sheet.swapaxes(1, 2).reshape(rows * SHEET_TILE_PX, SHEET_COLUMNS * SHEET_TILE_PX, 3)
