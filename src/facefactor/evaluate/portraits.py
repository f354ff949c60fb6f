# SPDX-License-Identifier: Apache-2.0
"""How well an engine explains ordinary portraits: faces found, landmark error, photometric error against a baseline.

    photos ─engine─► PortraitMeasure each ─► report.md, report.json and the pictures to look at

The landmark error is the mean distance of the 51 inner landmarks to the detector's, over √area of the face box. The
photometric error is the mean ℓ2 distance of sRGB colours in [0, 1] over the visible skin of the face, each vertex
counted by the pixels it stands for; the baseline is the same geometry with the mean albedo under the constant white
light that suits it best.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from facefactor.export.atomic import write_bytes, write_png
from facefactor.photo.read import PHOTO_SUFFIXES

ROWS_PER_SHEET = 12


@dataclass(frozen=True)
class PortraitMeasure:
    """One photo's errors."""

    photo: str
    landmark_percent: float
    """Inner landmark error, per cent of √area of the face box."""
    photometric: float
    """sRGB units of [0, 1]."""
    baseline: float
    """The same with mean albedo and white light."""
    yaw_deg: float
    seconds: float
    """Of one whole reconstruction: reading, finding, fitting, pictures."""


def portrait_paths(data: Path) -> list[Path]:
    """The image files of a folder, by name."""
    return sorted(path for path in data.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)


def summarise(measures: list[PortraitMeasure], failed: list[str]) -> dict[str, float]:
    """Medians and shares over all measured photos."""
    ratios = [m.photometric / m.baseline for m in measures]
    return {
        "photos": len(measures) + len(failed),
        "faces_found": len(measures),
        "landmark_percent_median": float(np.median([m.landmark_percent for m in measures])),
        "landmark_percent_90": float(np.percentile([m.landmark_percent for m in measures], 90)),
        "photometric_median": float(np.median([m.photometric for m in measures])),
        "baseline_median": float(np.median([m.baseline for m in measures])),
        "ratio_of_medians": float(
            np.median([m.photometric for m in measures]) / np.median([m.baseline for m in measures])
        ),
        "median_of_ratios": float(np.median(ratios)),
        "seconds_median": float(np.median([m.seconds for m in measures])),
    }


def write_portrait_report(
    out: Path, engine: str, model_hash: str, measures: list[PortraitMeasure], failed: list[str], rows: list[np.ndarray]
) -> dict[str, float]:
    """Write report.md, report.json and sheet_NN.png, and return the summary.

    Args:
        out: folder; made if needed.
        engine: its name.
        model_hash: of the face model.
        measures: of the photos whose face was found; at least one.
        failed: "file: cause" of the others.
        rows: picture rows (H, W, 3) uint8, parallel to `measures`.
    """
    summary = summarise(measures, failed)
    content = {
        "engine": engine,
        "model_hash": model_hash,
        "summary": summary,
        "failed": failed,
        "photos": [asdict(measure) for measure in measures],
    }
    write_bytes(out / "report.json", (json.dumps(content, indent=1) + "\n").encode())
    write_bytes(out / "report.md", _markdown(engine, model_hash, summary, failed).encode())
    for first in range(0, len(rows), ROWS_PER_SHEET):
        write_png(
            out / f"sheet_{first // ROWS_PER_SHEET:02d}.png", np.concatenate(rows[first : first + ROWS_PER_SHEET])
        )
    return summary


def _markdown(engine: str, model_hash: str, summary: dict[str, float], failed: list[str]) -> str:
    lines = [f"# Portraits, engine {engine}, model {model_hash}", "", "| measure | value |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in summary.items()]
    lines += ["", "Not reconstructed:" if failed else "Every photo was reconstructed.", ""]
    return "\n".join(lines + [f"- {cause}" for cause in failed]) + "\n"
