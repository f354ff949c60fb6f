# SPDX-License-Identifier: Apache-2.0
"""The measures of the shape space, and how they are written: Markdown and pictures for people, JSON for programs."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefactor.export.atomic import write_bytes, write_png

ROWS_PER_PICTURE = 10
NUMBERS = ("median_mm", "mean_mm", "percentile95_mm", "landmarks_mm", "scale", "shape_rms")

INTRODUCTION = """\
# The shape space on real faces

Distances in mm from the face's points (even by area; within 95 mm of the nose tip, seen from outside, without what
lies in the eye openings and between the lips; of `heads` the narrow face) to the surface of the fitted model, and the
mean distance of up to 51 inner landmarks, which scatter by 2 to 3 mm by themselves. `mean` is the mean face laid on by
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
    lines += ["## Means over each group\n", *_table_head("group")]
    groups = list(dict.fromkeys((measure.group, measure.model, measure.fit) for measure in measures))
    for group, model, fit in sorted(groups, key=lambda key: [g[0] for g in groups].index(key[0])):
        chosen = [m for m in measures if (m.group, m.model, m.fit) == (group, model, fit)]
        means = [float(np.mean([getattr(measure, number) for measure in chosen])) for number in NUMBERS]
        lines.append(_table_row(f"{group} ({len(chosen)})", model, fit, means))
    lines += ["\n## Every target\n", *_table_head("target")]
    lines += [_table_row(m.target, m.model, m.fit, [getattr(m, number) for number in NUMBERS]) for m in measures]
    lines += ["\n## Pictures\n", *(f"![{picture}]({picture})" for picture in pictures)]
    return "\n".join(lines) + "\n"


def as_json(measures: list[Measure], hashes: dict[str, str]) -> str:
    """Return the measures as JSON, numbers to four places."""
    records = [{name: _rounded(value) for name, value in dataclasses.asdict(measure).items()} for measure in measures]
    return json.dumps({"models": hashes, "measures": records}, indent=1) + "\n"


def _table_head(first: str) -> tuple[str, str]:
    columns = (first, "model", "fit", "median", "mean", "95 %", "landmarks", "scale", "rms")
    return "| " + " | ".join(columns) + " |", "|" + "---|" * 3 + "---:|" * 6


def _table_row(first: str, model: str, fit: str, numbers: list[float]) -> str:
    return "| " + " | ".join([first, model, fit, *(f"{number:.2f}" for number in numbers)]) + " |"


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value
