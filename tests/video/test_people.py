# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from facefactor.code.face_code import FaceCode
from facefactor.video.people import IDENTITY_PARTS, assign_people, geometric_median, share_identity
from facefactor.video.rows import SeenFaces

SIZES = {"shape": 80, "reflectance": 80, "geometry_corrective": 8, "reflectance_corrective": 16}
FPS = 25


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def see(tracks: list[tuple[int, int, int, int, float]], generator: np.random.Generator) -> SeenFaces:
    """Faces of tracks, each given by person, first frame, frames, scene, and place (px); in the order of frames."""
    identities = generator.normal(0, 1.5, (5, sum(SIZES.values())))
    rows = [
        (frame, scene, track, place, identities[person] + generator.normal(0, 0.5, sum(SIZES.values())))
        for track, (person, first, count, scene, place) in enumerate(tracks)
        for frame in range(first, first + count)
    ]
    frames, scenes, numbers, places, identity = (
        np.array(c) for c in zip(*sorted(rows, key=lambda r: r[:3]), strict=True)
    )
    parts = np.split(identity.astype(np.float32), np.cumsum(list(SIZES.values()))[:-1], axis=1)
    code = dataclasses.replace(FaceCode.neutral((len(frames),)), **dict(zip(SIZES, parts, strict=True)))
    T_photo_crop = np.broadcast_to(np.eye(3), (len(frames), 3, 3)).copy()
    T_photo_crop[:, 0, 2] = places
    return SeenFaces(frames, frames / FPS, scenes, numbers, np.ones(len(frames)), T_photo_crop, code)


def people_of_tracks(seen: SeenFaces) -> list[int]:
    people = assign_people(seen)
    return [int(people[seen.tracks == track][0]) for track in range(seen.tracks.max() + 1)]


def test_a_person_who_comes_back_gets_their_number_back(generator):
    tracks = [(0, 0, 20, 0, 0), (1, 5, 20, 0, 300), (1, 100, 20, 1, 50), (0, 130, 20, 1, 400), (2, 160, 20, 2, 0)]
    assert people_of_tracks(see(tracks, generator)) == [0, 1, 1, 0, 2]


def test_faces_in_one_frame_are_different_people_however_alike(generator):
    assert people_of_tracks(see([(0, 0, 20, 0, 0), (0, 10, 20, 0, 300)], generator)) == [0, 1]


def test_a_face_lost_for_a_moment_is_the_same_at_its_place_only(generator):
    lost_here = [(0, 0, 20, 0, 0), (1, 25, 20, 0, 10)]
    assert people_of_tracks(see(lost_here, generator)) == [0, 0]
    elsewhere, after_a_cut, later = (
        [(0, 0, 20, 0, 0), (1, first, 20, scene, place)]
        for first, scene, place in ((25, 0, 200), (25, 1, 10), (60, 0, 10))
    )
    for tracks in (elsewhere, after_a_cut, later):
        assert people_of_tracks(see(tracks, generator)) == [0, 1]


def test_each_person_has_one_identity_near_the_truth_despite_wild_frames(generator):
    seen = see([(0, 0, 40, 0, 0), (1, 0, 40, 0, 300)], generator)
    clean = share_identity(seen, seen.tracks)
    wild = np.flatnonzero(seen.tracks == 0)[::5]
    seen.code.shape[wild] += 30.0
    shared = share_identity(seen, seen.tracks)
    for name in IDENTITY_PARTS:
        for person in (0, 1):
            assert np.ptp(getattr(shared, name)[seen.tracks == person], axis=0).max() == 0
    moved = np.abs(shared.shape - clean.shape).mean()
    assert moved < 0.4  # the mean moved by 6
    np.testing.assert_array_equal(shared.expression, seen.code.expression)


def test_confidence_weighs_the_median(generator):
    values = np.concatenate([generator.normal(0, 0.1, (10, 3)), generator.normal(5, 0.1, (10, 3))])
    trusted_first = geometric_median(values, np.repeat([1.0, 0.2], 10))
    assert np.abs(trusted_first).max() < 0.2


def test_the_median_of_points_on_a_line_is_the_middle_one():
    values = np.array([[0.0], [1.0], [2.0], [50.0], [100.0]])
    assert geometric_median(values, np.ones(5))[0] == pytest.approx(2.0, abs=0.05)
