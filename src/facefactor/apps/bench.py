# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor bench`: how fast this machine goes from a photo to its face, and in how much memory.

The timings of a round follow each other, so that what else the machine does falls on all alike; a
median over rounds is reported. The peak is that of numpy's float32 matrix product, on the same number of threads.
"""

import argparse
import functools
import itertools
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from facefactor.apps.engines import open_engine, open_landmark_detector
from facefactor.apps.facts import format_facts
from facefactor.apps.reconstruction import CROP_SIZE_PX, Reconstructor
from facefactor.encode import ENCODER_CROP_PX
from facefactor.errors import AssetMissing, PhotoError
from facefactor.export.atomic import encode_png
from facefactor.export.glb import encode_glb
from facefactor.export.record import encode_face_record
from facefactor.face.model import load_face_model
from facefactor.infer.decoder import Decoder
from facefactor.infer.engine import EncoderEngine
from facefactor.infer.parallel_decoder import ParallelDecoder
from facefactor.infer.predictor import EncoderGraph
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.detect import SlimeFaceDetector
from facefactor.photo.read import PHOTO_SUFFIXES, read_photo

LARGE_BATCH = 32
MATMUL_SCRIPT = """
import time, numpy
a = numpy.ones((1536, 1536), numpy.float32)
b, seconds = a.copy(), []
for _ in range(20):
    start = time.perf_counter(); a @ b; seconds.append(time.perf_counter() - start)
print(2 * 1536**3 / min(seconds))
"""


def run(options: argparse.Namespace) -> int:
    """Measure, and print a table or JSON."""
    num_threads = options.threads or os.cpu_count() or 1
    facts: dict[str, object] = {
        "machine": {
            "architecture": platform.machine(),
            "threads": num_threads,
            "onnxruntime": onnxruntime.__version__,
        }
    }
    model = load_face_model()
    engine = open_engine(options.engine, model, graphs=options.graphs, num_threads=num_threads)
    assert isinstance(engine, EncoderEngine)  # of the command line's choices
    facts |= {"engine": engine.name, "weights": engine.weights_hash}
    decoder = ParallelDecoder(Decoder.of(engine.model), num_threads)
    facts |= measure(engine.encoder, decoder, num_threads, options.rounds)
    if options.against:
        other = open_engine(options.against, model, num_threads=num_threads)
        assert isinstance(other, EncoderEngine)  # likewise
        networks = (engine.encoder, decoder), (other.encoder, ParallelDecoder(Decoder.of(other.model), num_threads))
        facts[f"times_as_long_as_{other.name}"] = compare(*networks, options.rounds)
    if options.photo or options.photos:
        reconstructor = Reconstructor(model, engine, open_landmark_detector())
    if options.photo:
        facts["photo_ms"] = measure_photos(reconstructor, options.photo, options.rounds)
    if options.photos:
        facts["many"] = measure_memory(reconstructor, options.photos, options.count)
    print(format_facts(facts, options.json))
    return 0


def measure(encoder: EncoderGraph, decoder: ParallelDecoder, num_threads: int, rounds: int) -> dict[str, object]:
    """Time encoding and decoding at batch 1 and LARGE_BATCH, and the machine's peak.

    Returns:
        Medians in milliseconds, faces per second, the peak in GFLOP/s, and the encoder's share of it.
    """
    generator = np.random.default_rng(0)
    peaks, medians_ms = [matmul_flops_per_second(num_threads)], dict[str, float]()
    for count in (1, LARGE_BATCH):  # one after the other: each as it is when nothing else is done
        crops = generator.random((count, ENCODER_CROP_PX, ENCODER_CROP_PX, 3), dtype=np.float32)
        tasks: dict[str, Callable[[], object]] = {
            f"encode_batch{count}": functools.partial(encoder.encode, crops),
            f"decode_batch{count}": functools.partial(decoder.decode, encoder.encode(crops)),
        }
        medians_ms |= _medians_ms(tasks, rounds)
    peaks.append(matmul_flops_per_second(num_threads))
    flops = int(encoder.facts["flops_per_face"])
    shares = {}
    for count in (1, LARGE_BATCH):
        encode_ms = medians_ms[f"encode_batch{count}"]
        medians_ms[f"both_batch{count}"] = encode_ms + medians_ms[f"decode_batch{count}"]
        shares[f"batch{count}"] = 1000 * count * flops / encode_ms / max(peaks)
    return {
        "median_ms": medians_ms,
        "faces_per_second": 1000 * LARGE_BATCH / medians_ms[f"both_batch{LARGE_BATCH}"],
        "matmul_peak_gflops": max(peaks) / 1e9,
        "encoder_share_of_peak": shares,
    }


def compare(
    network: tuple[EncoderGraph, ParallelDecoder], other: tuple[EncoderGraph, ParallelDecoder], rounds: int
) -> dict[str, float]:
    """Time two networks in turn, and say how many times as long as the other one the first takes.

    Args:
        network: an encoder and its face model's decoder.
        other: what it is compared with.
        rounds: both are timed once in each.

    Returns:
        Ratios of the medians of encoding and decoding, at batch 1 and LARGE_BATCH.
    """
    ratios = {}
    for count in (1, LARGE_BATCH):
        crops = np.random.default_rng(0).random((count, ENCODER_CROP_PX, ENCODER_CROP_PX, 3), dtype=np.float32)
        tasks: dict[str, Callable[[], object]] = {
            name: functools.partial(_encode_and_decode, *parts, crops)
            for name, parts in (("network", network), ("other", other))
        }
        medians_ms = _medians_ms(tasks, rounds)
        ratios[f"batch{count}"] = medians_ms["network"] / medians_ms["other"]
    return ratios


def _encode_and_decode(encoder: EncoderGraph, decoder: ParallelDecoder, crops_srgb: np.ndarray) -> None:
    decoder.decode(encoder.encode(crops_srgb))


def measure_photos(reconstructor: Reconstructor, paths: list[Path], rounds: int) -> dict[str, float]:
    """Time each part of the way from a photo's file to its largest face, and apart the making of its three files.

    Returns:
        Medians over rounds and photos, milliseconds; "all" ends with the face, "files" is what comes after.

    Raises:
        PhotoError: a photo cannot be read or shows no face.
    """
    timings = [_photo_medians_ms(reconstructor, path, rounds) for path in paths]
    medians = {name: statistics.median(timing[name] for timing in timings) for name in timings[0]}
    to_face = sum(milliseconds for name, milliseconds in medians.items() if not name.startswith("file"))
    return {**medians, "all": to_face, "files": sum(medians.values()) - to_face}


def _photo_medians_ms(reconstructor: Reconstructor, path: Path, rounds: int) -> dict[str, float]:
    photo, detector, landmark_detector = read_photo(path), SlimeFaceDetector(), open_landmark_detector()
    boxes = detector.detect(photo)
    (found,) = reconstructor.find(photo)
    crop = CroppedFace.of(photo, found, CROP_SIZE_PX)
    face = reconstructor.describe(crop)
    code, albedo, skin = face.code, reconstructor.albedo(face.code), reconstructor.skin(face)
    record = reconstructor.record(face, skin.error(albedo, code.illumination))
    detail = reconstructor.detail(face, albedo)
    posed, mesh = reconstructor.pose(face, detail.applied_to(albedo)), reconstructor.painted_mesh(face, albedo, detail)
    row = reconstructor.row(posed, crop)
    tasks: dict[str, Callable[[], object]] = {
        "read": lambda: read_photo(path),
        "detect": lambda: detector.detect(photo),
        "landmarks": lambda: landmark_detector.detect(photo, boxes[0]),
        "crop": lambda: crop.srgb_at(ENCODER_CROP_PX),
        "encode_and_decode": lambda: reconstructor.describe(crop),
        "file_quality": lambda: reconstructor.skin(face).error(reconstructor.albedo(code), code.illumination),
        "file_detail": lambda: reconstructor.detail(face, albedo),
        "file_json": lambda: encode_face_record(record),
        "file_mesh": lambda: reconstructor.painted_mesh(face, albedo, detail),
        "file_glb": lambda: encode_glb(mesh),
        "file_row": lambda: reconstructor.row(posed, crop),
        "file_png": lambda: encode_png(row),
    }
    return _medians_ms(tasks, rounds)


def measure_memory(reconstructor: Reconstructor, folder: Path, count: int | None) -> dict[str, float]:
    """Take photos from their files to their faces, one after the other, and watch the process' memory.

    Args:
        reconstructor: with the engine to run.
        folder: of photos, subfolders included; they are taken again from the first where there are too few.
        count: of photos; None for each once.

    Returns:
        Photos and those that failed, photos per second, and megabytes: once a tenth of the photos is done, at the end,
        and the most there ever were.

    Raises:
        AssetMissing: the folder holds no photos.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise AssetMissing(f"{folder}: no folder of photos")
    count, failed, started = count or len(paths), 0, time.perf_counter()
    for index, path in enumerate(itertools.islice(itertools.cycle(paths), count)):
        try:
            photo = read_photo(path)
            for found in reconstructor.find(photo):
                reconstructor.describe(CroppedFace.of(photo, found, CROP_SIZE_PX))
        except PhotoError:
            failed += 1
        if index == count // 10:
            early_mb, _ = _memory_mb()
    seconds = time.perf_counter() - started
    end_mb, peak_mb = _memory_mb()
    return {
        "photos": count,
        "failed": failed,
        "photos_per_second": count / seconds,
        "memory_after_a_tenth_mb": early_mb,
        "memory_at_the_end_mb": end_mb,
        "memory_peak_mb": peak_mb,
    }


def _memory_mb() -> tuple[float, float]:
    """Memory that this process holds now and the most it ever held, in megabytes; Linux only.

    Both of one reading: the kernel counts roughly while it runs, so numbers of two sources may disagree by pages.
    """
    facts = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now_mb, peak_mb = (int(facts[name].removesuffix("kB")) / 1024 for name in ("VmRSS", "VmHWM"))
    return now_mb, peak_mb


def matmul_flops_per_second(num_threads: int) -> float:
    """This machine's best rate in a float32 matrix product, in a process of its own, where threads can be chosen."""
    threads = {name: str(num_threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-c", MATMUL_SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **threads})
    return float(done.stdout)


def _medians_ms(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Do all tasks once for nothing, then each once a round."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}
