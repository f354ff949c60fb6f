# SPDX-License-Identifier: Apache-2.0
"""`facefactor prepare`: folders of photos in, a corpus of face crops with their landmarks out.

    photo files ─sort─► number, name ─┬─ worker: read ─find─► faces ─cut─► crop, landmarks ─quality─► sample ─┐
                                      └─ …                                                                    ├─► shards
                                         the answers come in the photos' order, whatever the number of workers┘

A shard is closed with the photo that fills it, and corpus.json then says how many photos are done. A run that was
stopped goes on after the last closed shard; it gives the same files as one that was not.
"""

import argparse
import functools
import hashlib
import importlib.util
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import facefactor
from facefactor.apps.cli import EXIT_PHOTO_FAILED
from facefactor.apps.engines import open_landmark_detector
from facefactor.apps.parallel import count_cores, map_in_order
from facefactor.apps.progress import Progress
from facefactor.data.photo_sample import cut_photo_sample, encode_photo_sample
from facefactor.data.quality import measure_quality
from facefactor.data.shards import (
    CORPUS_FILE,
    PHOTOGRAPHS,
    SAMPLES_PER_SHARD,
    CorpusRecord,
    Sample,
    read_corpus_record,
    shard_name,
    write_corpus_record,
    write_shard,
)
from facefactor.errors import AssetMissing, FaceError, NoFaceFound, PhotoUnreadable, require
from facefactor.export.atomic import require_writable
from facefactor.paths import why_missing
from facefactor.photo.find import FoundFace, find_faces
from facefactor.photo.landmarks import LandmarkDetector
from facefactor.photo.read import PHOTO_SUFFIXES, Photo, read_photo

LEAST_FACE_PX = 48
"""√area of the smallest face box that is kept by default: the encoder's 128 px crop is then enlarged 1.9 times."""
PARTIAL_FILES = ".facefactor-*.partial"
"""What `export.atomic` calls a file that it has not finished."""
SHARD_PREFIX = "photos"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotoFile:
    """A photo to prepare: where it is, and its name in the corpus (its path from the folder that was named)."""

    path: Path
    name: str


@dataclass(frozen=True)
class Settings:
    """What the corpus depends on besides its photos; a corpus is continued with equal settings only."""

    faces: Literal["largest", "all"] = "largest"
    min_face_px: int = LEAST_FACE_PX
    landmarks: str = "network"
    """Name of the detector, see `engines.open_landmark_detector`."""
    samples_per_shard: int = SAMPLES_PER_SHARD
    facefactor: str = facefactor.__version__


@dataclass(frozen=True)
class Task:
    """One photo for a worker."""

    number: int
    photo: PhotoFile
    settings: Settings


@dataclass(frozen=True)
class Outcome:
    """What a photo gave: samples, and a reason for each of its faces that is none (or for the photo itself)."""

    photo: PhotoFile
    samples: tuple[Sample, ...] = ()
    rejected: tuple[str, ...] = ()


def run(options: argparse.Namespace) -> int:
    """Prepare the photos of the command line and return the exit code.

    Raises:
        AssetMissing: a source does not exist, or there is no photo in any.
        OutputUnwritable: the corpus cannot be written.
        MissingExtra: MediaPipe is wanted and not installed.
    """
    if options.landmarks == "mediapipe" and importlib.util.find_spec("mediapipe") is None:
        require("mediapipe", "prepare", "finding landmarks")
    settings = Settings(options.faces, options.min_face, options.landmarks)
    record = prepare(options.photos, options.out, settings, options.jobs or count_cores())
    print("\n".join(_summary(options.out, record)))
    if not record.samples:
        print("facefactor: no photo could be used", file=sys.stderr)
    return 0 if record.samples else EXIT_PHOTO_FAILED


def prepare(sources: Sequence[Path], out: Path, settings: Settings, jobs: int) -> CorpusRecord:
    """Make a corpus of the photos in `sources`, or go on making it.

    Args:
        sources: photos, and folders to search.
        out: folder of the corpus; made if needed.
        settings: of the corpus.
        jobs: number of processes.

    Raises:
        AssetMissing: a source does not exist, or there is no photo in any.
        FaceError: `out` holds a corpus of other photos or settings, or a worker process died.
        OutputUnwritable: the corpus cannot be written.
    """
    photos = list_photos(sources)
    require_writable(out)
    record = _begin(out, photos, sources, settings)
    if record.complete:
        return record
    _remove_partial_files(out)
    done = record.progress["photos_done"]
    tasks = (Task(number, photos[number], settings) for number in range(done, len(photos)))
    with closing(
        map_in_order(prepare_photo, tasks, jobs, functools.partial(start_worker, settings.landmarks))
    ) as outcomes:
        return _write_shards(out, record, outcomes, settings.samples_per_shard)


def list_photos(sources: Sequence[Path]) -> list[PhotoFile]:
    """Find the photos of files and folders, each once: the sources in their order, a folder's photos by name.

    Raises:
        AssetMissing: a source does not exist, or there is no photo in any.
    """
    photos: dict[Path, PhotoFile] = {}
    for source in sources:
        if reason := why_missing(source, "file or folder"):
            raise AssetMissing(f"{source}: {reason}")
        for photo in _photos_in(source) if source.is_dir() else [PhotoFile(source, source.name)]:
            photos.setdefault(photo.path.resolve(), photo)
    if not photos:
        raise AssetMissing(f"{', '.join(map(str, sources))}: there are no photos in it")
    return list(photos.values())


def start_worker(landmarks: str) -> None:
    """Start the landmark detector in a worker process, once for all of its photos."""
    global _landmark_detector
    _landmark_detector = open_landmark_detector(landmarks)


def prepare_photo(task: Task) -> Outcome:
    """Make the samples of one photo, in a worker process."""
    assert _landmark_detector is not None
    return sample_photo(task, _landmark_detector)


def sample_photo(task: Task, landmark_detector: LandmarkDetector) -> Outcome:
    """Make the samples of one photo: read it, find its faces, cut them out and judge them."""
    try:
        photo = read_photo(task.photo.path)
        faces = find_faces(photo, task.settings.faces, landmark_detector=landmark_detector)
    except PhotoUnreadable:
        return Outcome(task.photo, rejected=("unreadable",))
    except NoFaceFound:
        return Outcome(task.photo, rejected=("no_face",))
    answers = [_sample_face(task, photo, face, index) for index, face in enumerate(faces)]
    return Outcome(
        task.photo,
        tuple(answer for answer in answers if isinstance(answer, Sample)),
        tuple(answer for answer in answers if isinstance(answer, str)),
    )


def _sample_face(task: Task, photo: Photo, face: FoundFace, index: int) -> Sample | str:
    """Make the sample of one face, or name what makes it unusable."""
    if face.box.area_px2 < task.settings.min_face_px**2:
        return "too_small"
    sample = cut_photo_sample(photo, face, task.photo.name)
    fault = measure_quality(sample.crop_srgb, sample.landmarks_px).fault()
    return fault or encode_photo_sample(sample, f"{task.number:08d}-{index}")


def _begin(out: Path, photos: Sequence[PhotoFile], sources: Sequence[Path], settings: Settings) -> CorpusRecord:
    """Read how far an earlier run came, or begin.

    Raises:
        FaceError: there is a corpus of something else.
    """
    fresh = CorpusRecord(
        kind=PHOTOGRAPHS,
        settings=asdict(settings),
        sources=tuple(map(str, sources)),
        progress={"photos": len(photos), "photos_done": 0, "photos_digest": _digest(photos)},
    )
    if not (out / CORPUS_FILE).exists():
        return fresh
    earlier = read_corpus_record(out)
    differing = [name for name, value in fresh.settings.items() if earlier.settings.get(name) != value]
    if earlier.kind != PHOTOGRAPHS or earlier.progress.get("photos_digest") != fresh.progress["photos_digest"]:
        differing.insert(0, "photos")
    if differing:
        raise FaceError(f"{out}: holds a corpus with other {', '.join(differing)}: name another folder, or delete it")
    return earlier


def _write_shards(out: Path, record: CorpusRecord, outcomes: Iterator[Outcome], samples_per_shard: int) -> CorpusRecord:
    """Collect the photos' outcomes into shards, and return the record of the complete corpus."""
    rejected = Counter(record.rejected)
    done, total = record.progress["photos_done"], record.progress["photos"]
    progress = Progress("facefactor prepare", "photos", total, done)
    samples: list[Sample] = []
    try:
        for outcome in outcomes:
            done += 1
            samples += outcome.samples
            rejected.update(outcome.rejected)
            if len(samples) >= samples_per_shard or done == total:
                record = _close_shard(out, record, samples, rejected, done)
                samples = []
            for reason in outcome.rejected:
                logger.info("%s: %s", outcome.photo.path, reason.replace("_", " "))
            kept = record.samples + len(samples)
            progress.show(done, f"{kept} faces kept, {rejected.total()} rejected")
    finally:
        progress.clear()
    return record


def _close_shard(
    out: Path, record: CorpusRecord, samples: Sequence[Sample], rejected: Counter[str], done: int
) -> CorpusRecord:
    """Write a shard, unless it would be empty, and then the record that counts it."""
    shards = record.shards
    if samples:
        shards += (write_shard(out / shard_name(SHARD_PREFIX, len(shards)), samples),)
    record = replace(
        record,
        shards=shards,
        complete=done == record.progress["photos"],
        rejected=dict(sorted(rejected.items())),
        progress={**record.progress, "photos_done": done},
    )
    write_corpus_record(out, record)
    return record


def _photos_in(folder: Path) -> list[PhotoFile]:
    """The photos below a folder, by name, the folder's own name first; links to folders are not followed."""
    root = folder.resolve().name
    paths = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    photos = [path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES]
    named = (PhotoFile(path, Path(root, path.relative_to(folder)).as_posix()) for path in photos)
    return sorted(named, key=lambda photo: photo.name)


def _digest(photos: Sequence[PhotoFile]) -> str:
    """Tell two lists of photos apart by their names and sizes in bytes: 16 hexadecimal digits."""
    lines = (os.fsencode(photo.name) + b"\0%d\n" % _size(photo.path) for photo in photos)
    return hashlib.sha256(b"".join(lines)).hexdigest()[:16]


def _size(path: Path) -> int:
    """Size in bytes; -1 for a link that leads nowhere, which will be one of the unreadable photos."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _remove_partial_files(out: Path) -> None:
    """Delete what a killed run was writing."""
    for path in out.glob(PARTIAL_FILES):
        path.unlink(missing_ok=True)


def _summary(out: Path, record: CorpusRecord) -> list[str]:
    heading = f"{out}: {record.samples} faces of {record.progress['photos']} photos, shards: {len(record.shards)}"
    reasons = sorted(record.rejected.items(), key=lambda item: -item[1])
    return [heading, *(f"  {count} rejected: {reason.replace('_', ' ')}" for reason, count in reasons)]


_landmark_detector: LandmarkDetector | None = None
"""Of a worker process."""
