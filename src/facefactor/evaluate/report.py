# SPDX-License-Identifier: Apache-2.0
"""The measures of the shape space, and how they are written: Markdown and pictures for people, JSON for programs."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefactor.export.atomic import write_bytes, write_png

ROWS_PER_PICTURE = 10
MIN_SCATTER_TARGETS = 5
"""Smaller groups do not tell where whoever marked them sees a landmark."""
NUMBERS = ("median_mm", "mean_mm", "percentile95_mm", "landmarks_mm", "scale", "shape_rms")

INTRODUCTION = """\
# The shape space on real faces

Distances in mm from the face's points (even by area; within 95 mm of the nose tip, seen from outside, without what
lies in the eye openings and between the lips; of `heads` the narrow face) to the surface of the fitted model, and the
mean distance of up to 51 inner landmarks. Those who marked the targets place some of them (brows, ridge and sides of
the nose) elsewhere than the model does, the same way on every face; `scatter` is what is left of the landmarks'
distance when each one's mean offset over the group is taken off. `mean` is the mean face laid on by
a similarity; `shape` adds all shape coefficients, the expression weights for `clouds`, and the two blinks for
lee_perry_smith, whose eyes are shut. `rms` is the root mean square of the shape coefficients in standard deviations.
Scans have no unit: their millimetres are the model's.
"""


@dataclass(frozen=True)
class Measure:
    """How far one fit of one model is from one target."""

    model: str
    target: str
    group: str
    fit: str
    """"mean" (similarity only) or "shape" (all shape coefficients too)."""
    median_mm: float
    """Of the distances from the measured points to the model's surface; likewise the next two."""
    mean_mm: float
    percentile95_mm: float
    landmarks_mm: float
    """Mean distance of the inner landmarks."""
    landmark_parts_mm: dict[str, float]
    """The same for brows, nose, eyes and mouth."""
    landmark_misses_mm: np.ndarray
    """(51, 3) from model to target, model frame, for the iBUG landmarks 17–67; NaN for one that the target lacks."""
    scale: float
    """Model size over target size; without meaning where the target has no unit."""
    shape_rms: float
    """Root mean square of the shape coefficients: 1 for a typical face of the prior."""


def write_report(
    out: Path, measures: list[Measure], rows: dict[tuple[str, str], list[np.ndarray]], hashes: dict[str, str]
) -> None:
    """Write report.md, report.json and one picture for every ten rows of a model and group.

    Args:
        out: folder; made if needed.
        measures: of all models, targets and fits.
        rows: drawn rows (H, W, 3) uint8 by model and group.
        hashes: hash of each model.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    pictures = []
    for (model, group), drawn in rows.items():
        for start in range(0, len(drawn), ROWS_PER_PICTURE):
            page = f"_{start // ROWS_PER_PICTURE + 1}" if len(drawn) > ROWS_PER_PICTURE else ""
            pictures.append(f"{model}_{group}{page}.png")
            write_png(out / pictures[-1], np.concatenate(drawn[start : start + ROWS_PER_PICTURE], axis=0))
    write_bytes(out / "report.md", markdown(measures, hashes, pictures).encode())
    write_bytes(out / "report.json", as_json(measures, hashes).encode())


def markdown(measures: list[Measure], hashes: dict[str, str], pictures: list[str]) -> str:
    """Return the report: a table of means over each group, a table of all targets, and the pictures."""
    lines = [INTRODUCTION, "Models: " + ", ".join(f"{name} ({digest})" for name, digest in hashes.items()) + "\n"]
    lines += ["## Means over each group\n", *_table_head("group", "scatter")]
    groups = list(dict.fromkeys((measure.group, measure.model, measure.fit) for measure in measures))
    for group, model, fit in groups:
        chosen = [m for m in measures if (m.group, m.model, m.fit) == (group, model, fit)]
        means = [float(np.mean([getattr(measure, number) for measure in chosen])) for number in NUMBERS]
        lines.append(_table_row(f"{group} ({len(chosen)})", model, fit, [*means, landmark_scatter_mm(chosen)]))
    lines += ["\n## Every target\n", *_table_head("target")]
    lines += [_table_row(m.target, m.model, m.fit, [getattr(m, number) for number in NUMBERS]) for m in measures]
    lines += ["\n## Pictures\n", *(f"![{picture}]({picture})" for picture in pictures)]
    return "\n".join(lines) + "\n"


def as_json(measures: list[Measure], hashes: dict[str, str]) -> str:
    """Return the measures as JSON, numbers to four places."""
    records = [
        {name: _rounded(value) for name, value in dataclasses.asdict(m).items() if not isinstance(value, np.ndarray)}
        for m in measures
    ]
    return json.dumps({"models": hashes, "measures": records}, indent=1) + "\n"


def landmark_scatter_mm(measures: list[Measure]) -> float:
    """Mean distance of the landmarks from their mean offset over a group of targets; NaN for a small group."""
    if len(measures) < MIN_SCATTER_TARGETS:
        return float("nan")
    misses = np.stack([measure.landmark_misses_mm for measure in measures])
    seen = np.isfinite(misses).all(axis=(0, 2))
    apart = misses[:, seen] - misses[:, seen].mean(axis=0)
    unbiased = np.sqrt(len(measures) / (len(measures) - 1))
    return float(unbiased * np.linalg.norm(apart, axis=2).mean())


def _table_head(first: str, *more: str) -> tuple[str, str]:
    columns = (first, "model", "fit", "median", "mean", "95 %", "landmarks", "scale", "rms", *more)
    return "| " + " | ".join(columns) + " |", "|" + "---|" * 3 + "---:|" * (len(columns) - 3)


def _table_row(first: str, model: str, fit: str, numbers: list[float]) -> str:
    cells = ["–" if np.isnan(number) else f"{number:.2f}" for number in numbers]
    return "| " + " | ".join([first, model, fit, *cells]) + " |"


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value
