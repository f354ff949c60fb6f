# SPDX-License-Identifier: Apache-2.0
"""The astronaut's face (`skimage.data.astronaut`, public domain), looked at."""

from dataclasses import replace

import pytest
from skimage.data import astronaut

from facefactor.apps.reconstruction import Reconstructor
from facefactor.apps.viewer.head import Head
from facefactor.apps.viewer.state import ViewerState
from facefactor.apps.viewer.subject import Subject
from facefactor.export.record import FaceRecord
from facefactor.photo.read import Photo, photo_from_array


@pytest.fixture(scope="session")
def head() -> Head:
    return Head()


@pytest.fixture(scope="session")
def reconstructor(head) -> Reconstructor:
    return Reconstructor(engine=head.engine)


@pytest.fixture(scope="session")
def photo() -> Photo:
    return photo_from_array(astronaut(), "astronaut.png")


@pytest.fixture(scope="session")
def record(reconstructor, photo) -> FaceRecord:
    (record,) = reconstructor.records(photo)
    return record


@pytest.fixture(scope="session")
def state(record, photo, head) -> ViewerState:
    return ViewerState.of(Subject.of(record, photo, head))


@pytest.fixture(scope="session")
def state_without_photo(record, head) -> ViewerState:
    return ViewerState.of(Subject.of(record, None, head))


@pytest.fixture(scope="session")
def base_record(record, head) -> FaceRecord:
    """The same face as an engine of the base model would answer it."""
    base_hash = next(known for known in head.known_hashes if known != head.model.model_hash)
    none = record.geometry_corrective[:0]
    return replace(record, model_hash=base_hash, geometry_corrective=none, reflectance_corrective=none)
