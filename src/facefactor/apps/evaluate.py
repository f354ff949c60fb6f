# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor evaluate SUITE`: run an engine over a suite's photos and write the report."""

import argparse
import math
import time
from pathlib import Path

from facefactor.apps.reconstruction import ENGINE, Reconstruction, Reconstructor
from facefactor.errors import AssetMissing, PhotoError
from facefactor.evaluate.portraits import PortraitMeasure, portrait_paths, write_portrait_report
from facefactor.photo.read import read_photo


def run(options: argparse.Namespace) -> int:
    """Run the suite named on the command line; each is one function of data and report folder."""
    return SUITES[options.suite](options.data, options.out)


def evaluate_portraits(data: Path, out: Path) -> int:
    """Reconstruct every photo of a folder and report its errors beside the baseline.

    Raises:
        AssetMissing: the folder holds no photos, or none shows a face.
    """
    paths = portrait_paths(data) if data.is_dir() else []
    if not paths:
        raise AssetMissing(f"{data}: no folder of photos")
    reconstructor = Reconstructor()
    measures, failed, rows = [], [], []
    for path in paths:
        started = time.perf_counter()
        try:
            (face,) = reconstructor.reconstruct(read_photo(path), "largest")
        except PhotoError as error:
            failed.append(str(error))
            continue
        measures.append(_measure(path, face, time.perf_counter() - started))
        rows.append(face.row_srgb)
    if not measures:
        raise AssetMissing(f"{data}: none of its {len(paths)} photos shows a face")
    summary = write_portrait_report(out, ENGINE, reconstructor.model.model_hash, measures, failed, rows)
    for name, value in summary.items():
        print(f"{name}: {value:.4g}")
    print(out / "report.md")
    return 0


SUITES = {"portraits": evaluate_portraits}


def _measure(path: Path, face: Reconstruction, seconds: float) -> PortraitMeasure:
    box = face.record.face_box_px
    return PortraitMeasure(
        photo=path.name,
        landmark_percent=100 * face.record.quality.landmark_px / math.sqrt(box.width * box.height),
        photometric=face.fit.photometric,
        baseline=face.fit.baseline_photometric,
        yaw_deg=face.record.camera.yaw_deg,
        seconds=seconds,
    )
