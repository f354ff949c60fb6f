# SPDX-License-Identifier: Apache-2.0
"""A small corpus of photos, made without any detector."""

from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from facefactor.data.crops import mean_landmarks_mm
from facefactor.data.photo_sample import cut_photo_sample, encode_photo_sample
from facefactor.data.shards import PHOTOGRAPHS, CorpusRecord, shard_name, write_corpus_record, write_shard
from facefactor.photo import Photo, photo_from_array
from facefactor.photo.detect import FaceBox
from facefactor.photo.find import FoundFace
from facefactor.photo.landmarks import NUM_LANDMARKS, Landmarks

CORPUS_SIZE = 10
SAMPLES_PER_SHARD = 4


@pytest.fixture(scope="session")
def astronaut_photo() -> Photo:
    return photo_from_array(astronaut(), "astronaut.png")


@pytest.fixture(scope="session")
def astronaut_face() -> FoundFace:
    """The mean face laid over the astronaut's."""
    points_px = mean_landmarks_mm()[:, :2] * (0.62, -0.62) + (222, 107)
    return FoundFace(FaceBox(170, 60, 104, 116, 0.98, roll_deg=-3.0), Landmarks(points_px, np.ones(NUM_LANDMARKS)))


@pytest.fixture(scope="session")
def photo_corpus_folder(
    astronaut_photo: Photo, astronaut_face: FoundFace, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A corpus of ten samples in three shards; all show the same face, and are named 0.png to 9.png."""
    folder = tmp_path_factory.mktemp("corpus")
    samples = [
        encode_photo_sample(cut_photo_sample(astronaut_photo, astronaut_face, f"{number}.png"), f"{number:08d}-0")
        for number in range(CORPUS_SIZE)
    ]
    shards = [
        write_shard(folder / shard_name("photos", start // SAMPLES_PER_SHARD), samples[start : start + 4])
        for start in range(0, CORPUS_SIZE, SAMPLES_PER_SHARD)
    ]
    write_corpus_record(folder, CorpusRecord(PHOTOGRAPHS, tuple(shards), complete=True))
    return folder
