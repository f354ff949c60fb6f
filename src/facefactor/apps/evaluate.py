# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor evaluate SUITE`: run what is measured over a suite's photos and write the report."""

import argparse
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facefactor.apps.engines import open_engine
from facefactor.apps.evaluate_answers import (
    OpenEngine,
    evaluate_closures,
    evaluate_identities,
    evaluate_known_light,
    evaluate_skin_tones,
)
from facefactor.apps.evaluate_encoders import evaluate_encoders
from facefactor.apps.evaluate_geometry import evaluate_geometry
from facefactor.apps.reconstruction import Reconstruction, Reconstructor
from facefactor.errors import AssetMissing, PhotoError, PhotoUnreadable
from facefactor.evaluate.landmarks import (
    SHEET_FACES,
    LandmarkMeasure,
    choose_box,
    draw_face,
    measure_photo,
    read_truth,
    write_landmark_report,
)
from facefactor.evaluate.portraits import PortraitMeasure, portrait_paths, write_portrait_report
from facefactor.face.albedo import albedo_from_log
from facefactor.face.model import load_face_model
from facefactor.photo.detect import FaceBox, SlimeFaceDetector
from facefactor.photo.landmarks import LandmarkDetector, Landmarks
from facefactor.photo.mediapipe_landmarks import MediaPipeLandmarks
from facefactor.photo.network_landmarks import SHIPPED_NETWORK, NetworkLandmarks
from facefactor.photo.read import Photo, read_photo


def run(options: argparse.Namespace) -> int:
    """Run the suite named on the command line."""
    return SUITES[options.suite](options)


def evaluate_portraits(data: Path, out: Path, open_it: OpenEngine) -> int:
    """Reconstruct every photo of a folder and report its errors beside the baseline.

    Args:
        data: folder of photos.
        out: folder of the report.
        open_it: makes the engine that is measured ready.

    Raises:
        AssetMissing: the folder holds no photos, or none shows a face; or the engine's weights are not there.
        MissingExtra, IncompatibleCode: see `engines.open_engine`.
    """
    paths = portrait_paths(data) if os.path.isdir(data) else []
    if not paths:
        raise AssetMissing(f"{data}: no folder of photos")
    model = load_face_model()
    reconstructor = Reconstructor(model, open_it(model))
    mean_albedo = albedo_from_log(reconstructor.model.log_albedo_mean)
    measures, failed, rows = [], [], []
    for path in paths:
        started = time.perf_counter()
        try:
            (face,) = reconstructor.reconstruct(read_photo(path), "largest")
        except PhotoError as error:
            failed.append(str(error))
            continue
        seconds = time.perf_counter() - started
        measures.append(_measure(path, face, face.skin.baseline_error(mean_albedo), seconds))
        rows.append(face.row_srgb)
    if not measures:
        raise AssetMissing(f"{data}: none of its {len(paths)} photos shows a face")
    summary = write_portrait_report(
        out, reconstructor.engine.name, reconstructor.model.model_hash, measures, failed, rows
    )
    _print_summary(summary, out)
    return 0


def evaluate_landmarks(data: Path, out: Path, graphs: Path | None = None) -> int:
    """Find landmarks in every photo of a folder with the network and with its teacher, and report how they differ.

    Args:
        data: folder of photos, with NAME.mat beside NAME.jpg where there is truth.
        out: folder of the report.
        graphs: folder that holds the network to measure; None for the shipped one.

    Raises:
        AssetMissing: the folder holds no photos, none shows a face, or there is no network.
        IncompatibleCode: a .mat file beside a photo is no truth.
        MissingExtra: MediaPipe, the teacher, is not installed.
    """
    paths = portrait_paths(data) if os.path.isdir(data) else []
    if not paths:
        raise AssetMissing(f"{data}: no folder of photos")
    network = NetworkLandmarks(graphs and graphs / SHIPPED_NETWORK.name)
    teacher, detector = MediaPipeLandmarks(), SlimeFaceDetector()
    measures: list[LandmarkMeasure] = []
    failed: list[str] = []
    tiles: list[np.ndarray] = []
    for path in paths:
        truth_path = path.with_suffix(".mat")
        truth = read_truth(truth_path) if os.path.isfile(truth_path) else None
        try:
            photo = read_photo(path)
        except PhotoUnreadable as error:
            failed.append(str(error))
            continue
        box = choose_box(detector.detect(photo), truth)
        if box is None:
            failed.append(f"{path}: no face detected")
            continue
        by_network, network_ms = _timed(network, photo, box)
        by_teacher, teacher_ms = _timed(teacher, photo, box)
        measures.append(measure_photo(path.name, box, by_network, by_teacher, truth, network_ms, teacher_ms))
        if len(tiles) < SHEET_FACES:
            tiles.append(draw_face(photo, by_network, by_teacher, box))
    if not measures:
        raise AssetMissing(f"{data}: none of its {len(paths)} photos shows a face")
    weights = network.facts.get("weights_hash", "without a hash")
    _print_summary(write_landmark_report(out, weights, measures, len(paths), failed, tiles), out)
    return 0


SUITES: dict[str, Callable[[argparse.Namespace], int]] = {
    "portraits": lambda options: evaluate_portraits(options.data, options.out, _opener(options)),
    "landmarks": lambda options: evaluate_landmarks(options.data, options.out, options.graphs),
    "encoders": lambda options: evaluate_encoders(options.data, options.run, options.out),
    "geometry": lambda options: evaluate_geometry(options.data, options.out, options.model),
    "known-light": lambda options: evaluate_known_light(options.data, options.out, _opener(options)),
    "skin-tones": lambda options: evaluate_skin_tones(options.data, options.out, _opener(options)),
    "identities": lambda options: evaluate_identities(options.data, options.out, _opener(options)),
    "closures": lambda options: evaluate_closures(options.data, options.out, _opener(options), options.labels),
}


def _opener(options: argparse.Namespace) -> OpenEngine:
    """What makes the engine of the command line ready."""
    return lambda model: open_engine(options.engine, model, options.refine, options.graphs, options.model)


def _timed(detector: LandmarkDetector, photo: Photo, box: FaceBox) -> tuple[Landmarks | None, float]:
    """What a detector finds, and in how many milliseconds."""
    started = time.perf_counter()
    found = detector.detect(photo, box)
    return found, 1000 * (time.perf_counter() - started)


def _print_summary(summary: dict[str, float], out: Path) -> None:
    for name, value in summary.items():
        print(f"{name}: {value:.4g}")
    print(out / "report.md")


def _measure(path: Path, face: Reconstruction, baseline: float, seconds: float) -> PortraitMeasure:
    box = face.record.face_box_px
    return PortraitMeasure(
        photo=path.name,
        landmark_percent=100 * face.record.quality.landmark_px / math.sqrt(box.width * box.height),
        photometric=face.record.quality.photometric,
        baseline=baseline,
        yaw_deg=face.record.camera.yaw_deg,
        seconds=seconds,
    )
