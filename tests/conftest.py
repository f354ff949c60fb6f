# SPDX-License-Identifier: Apache-2.0
"""Fixtures every test may use."""

import functools
import importlib.util
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The project's test photos and scans; not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the project's data folder is not on this machine ({SHARED_DATA})")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Small tensors are faster without a pool of threads, and results do not depend on the number of cores."""
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def stored_faces_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus of 12 renders and one of 8 photos, made without renderer or detector: spots where the landmarks are."""
    import numpy as np

    from facefactor.code.face_code import FaceCode
    from facefactor.data.crops import CORPUS_CROP_PX, mean_landmarks_mm
    from facefactor.data.photo_sample import PhotoSample, encode_photo_sample
    from facefactor.data.shards import PHOTOGRAPHS, SYNTHETIC, CorpusRecord, write_corpus_record, write_shard
    from facefactor.data.synthetic_face import SyntheticFace
    from facefactor.data.synthetic_sample import encode_synthetic_sample
    from facefactor.photo.detect import FaceBox

    generator = np.random.default_rng(0)

    def spotted(colour: int) -> tuple[np.ndarray, np.ndarray]:
        points_px = mean_landmarks_mm()[:, :2] * (0.58, -0.58) * generator.uniform(0.9, 1.1) + (80, 68)
        points_px += generator.uniform(-4, 4, 2)
        picture = np.full((CORPUS_CROP_PX, CORPUS_CROP_PX, 3), colour, dtype=np.uint8)
        column, row = points_px.astype(int).T
        picture[row, column] = 255 - colour
        return picture, points_px.astype(np.float32)

    def seen() -> np.ndarray:
        return (generator.random(478) < 0.8).astype(np.float32)

    renders, photos = (tmp_path_factory.mktemp(name) for name in ("renders", "photos"))
    faces = [SyntheticFace(p, FaceCode.neutral(), m, seen()) for p, m in (spotted(40) for _ in range(12))]
    shard = write_shard(renders / "a.tar", [encode_synthetic_sample(f, f"{n:08d}") for n, f in enumerate(faces)])
    write_corpus_record(renders, CorpusRecord(SYNTHETIC, (shard,)))
    box = FaceBox(30, 30, 90, 100, 0.9)
    samples = [
        PhotoSample(p, m, np.full(478, 0.9, np.float32), np.eye(3), "p.jpg", (160, 160), box, 0.0)
        for p, m in (spotted(200) for _ in range(8))
    ]
    shard = write_shard(photos / "a.tar", [encode_photo_sample(s, f"{n:08d}-0") for n, s in enumerate(samples)])
    write_corpus_record(photos, CorpusRecord(PHOTOGRAPHS, (shard,)))
    return renders, photos


@pytest.fixture(scope="session")
def rendered_photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    """A corpus of 20 rendered faces that pass for photos, and the faces (`SyntheticFace`, in their stored crops)."""
    import numpy as np

    from facefactor.data.photo_sample import PhotoSample, encode_photo_sample
    from facefactor.data.shards import PHOTOGRAPHS, CorpusRecord, write_corpus_record, write_shard
    from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
    from facefactor.photo.detect import FaceBox

    shares = dict.fromkeys(("hat_share", "scarf_share", "glasses_share", "hand_share"), 0.0)
    faces = SyntheticFaces(SyntheticSettings(seed=5, border_px=16, subdivided=False, **shares)).make(range(20))
    folder = tmp_path_factory.mktemp("rendered")
    samples = []
    for number, face in enumerate(faces):
        low, high = face.landmarks_px.min(axis=0), face.landmarks_px.max(axis=0)
        box = FaceBox(float(low[0]), float(low[1]), *(high - low).tolist(), 0.9)
        trust = np.ones(478, dtype=np.float32)
        sample = PhotoSample(
            face.picture_srgb, face.landmarks_px, trust, np.eye(3), f"{number}.png", (160, 160), box, 0.0
        )
        samples.append(encode_photo_sample(sample, f"{number:08d}-0"))
    write_corpus_record(folder, CorpusRecord(PHOTOGRAPHS, (write_shard(folder / "photos-000000.tar", samples),)))
    return folder, faces


@pytest.fixture
def write_clip(write_clip_into: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """`write_clip_into` the test's own folder."""
    return functools.partial(write_clip_into, tmp_path)


@pytest.fixture(scope="session")
def write_clip_into() -> Callable[..., Path]:
    """A function that encodes pictures (height, width, 3) uint8 as a video.

    Its arguments: folder and name of the file, the pictures, their times as multiples of a time base (25 a second by
    default), and the codec of a second of sound, if there is to be some. The header comes first, so that the file can
    be cut off.
    """
    av = pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")
    import numpy as np

    def add_sound(container, codec: str, rate: int = 16000) -> None:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        tone = np.sin(np.arange(rate) / 10).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    def write(folder: Path, name: str, pictures, pts=None, time_base=Fraction(1, 25), sound: str | None = None) -> Path:
        path = folder / name
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            video = container.add_stream("libx264", rate=25, options={"crf": "8", "preset": "veryfast"})
            video.height, video.width = pictures[0].shape[:2]
            video.pix_fmt, video.codec_context.time_base = "yuv420p", time_base
            if sound is not None:
                add_sound(container, sound)
            for picture, when in zip(pictures, pts or range(len(pictures)), strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = when, time_base
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        return path

    return write
