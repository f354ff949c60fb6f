# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor bench`: how fast this machine encodes and decodes, and how near that is to its peak.

What is timed depends on the sizes of the graphs and not on their weights, so an untrained encoder is measured where no
graphs are given. The timings of a round follow each other, so that what else the machine does falls on all alike; a
median over rounds is reported. The peak is that of numpy's float32 matrix product, on the same number of threads.
"""

import argparse
import functools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from facefactor.apps.facts import format_facts
from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.errors import NoFaceFound
from facefactor.infer.predictor import Predictor
from facefactor.photo.crop import crop_image, face_crop
from facefactor.photo.detect import SlimeFaceDetector
from facefactor.photo.read import read_photo

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
    with tempfile.TemporaryDirectory() as folder:
        if options.graphs is None:
            _write_untrained_graphs(Path(folder))
        predictor = Predictor(options.graphs or Path(folder), num_threads)
    facts = {
        "machine": {
            "architecture": platform.machine(),
            "threads": num_threads,
            "onnxruntime": onnxruntime.__version__,
        },
        "encoder": "untrained" if options.graphs is None else str(options.graphs),
        **measure(predictor, num_threads, options.rounds),
    }
    if options.photo is not None:
        facts["photo_ms"] = measure_photo(predictor, options.photo, options.rounds)
    print(format_facts(facts, options.json))
    return 0


def measure(predictor: Predictor, num_threads: int, rounds: int) -> dict[str, object]:
    """Time encoding and decoding at batch 1 and LARGE_BATCH, and the machine's peak.

    Returns:
        Medians in milliseconds, faces per second, the peak in GFLOP/s, and the encoder's share of it.
    """
    generator = np.random.default_rng(0)
    tasks: dict[str, Callable[[], object]] = {}
    for count in (1, LARGE_BATCH):
        crops = generator.random((count, ENCODER_CROP_PX, ENCODER_CROP_PX, 3), dtype=np.float32)
        tasks[f"encode_batch{count}"] = functools.partial(predictor.encode, crops)
        tasks[f"decode_batch{count}"] = functools.partial(predictor.decode, FaceCode.neutral((count,)))
    peaks = [matmul_flops_per_second(num_threads)]
    medians_ms = _medians_ms(tasks, rounds)
    peaks.append(matmul_flops_per_second(num_threads))
    flops = int(predictor.encoder_facts["flops_per_face"])
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


def measure_photo(predictor: Predictor, path: Path, rounds: int) -> dict[str, float]:
    """Time each part of the way from a photo's file to its largest face; medians in milliseconds.

    Raises:
        PhotoError: the photo cannot be read or shows no face.
    """
    detector = SlimeFaceDetector()
    photo = read_photo(path)
    boxes = detector.detect(photo)
    if not boxes:
        raise NoFaceFound(f"{path}: no face found")
    T_photo_crop = face_crop(boxes[0], ENCODER_CROP_PX)
    crops = crop_image(photo, T_photo_crop, ENCODER_CROP_PX)[None]
    code = predictor.encode(crops)
    tasks: dict[str, Callable[[], object]] = {
        "read": lambda: read_photo(path),
        "detect": lambda: detector.detect(photo),
        "crop": lambda: crop_image(photo, T_photo_crop, ENCODER_CROP_PX),
        "encode": lambda: predictor.encode(crops),
        "decode": lambda: predictor.decode(code),
    }
    medians_ms = _medians_ms(tasks, rounds)
    return {**medians_ms, "all": sum(medians_ms.values())}


def matmul_flops_per_second(num_threads: int) -> float:
    """This machine's best rate in a float32 matrix product, in a process of its own, where threads can be chosen."""
    threads = {name: str(num_threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-c", MATMUL_SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **threads})
    return float(done.stdout)


def _write_untrained_graphs(folder: Path) -> None:
    from facefactor.encode.encoder import Encoder
    from facefactor.face.model import load_face_model
    from facefactor.infer.export import export_graphs

    export_graphs(Encoder(), load_face_model(), folder, {})


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
