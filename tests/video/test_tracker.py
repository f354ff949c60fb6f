# SPDX-License-Identifier: Apache-2.0
"""The tracker by itself: networks are stand-ins that know where the faces of each frame are."""

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")

from facefactor.photo.detect import FaceBox
from facefactor.photo.find import landmarks_extent
from facefactor.photo.landmarks import Landmarks
from facefactor.photo.read import Photo
from facefactor.video.reader import Frame
from facefactor.video.tracker import CutFinder, FaceTracker, TrackedFrame

FPS = 25
GRID = np.stack(np.meshgrid(np.linspace(0, 40, 24), np.linspace(0, 40, 20)), axis=-1).reshape(-1, 2)[:478]


def photo(level: int = 100) -> Photo:
    noise = np.random.default_rng(level).integers(0, 30, (60, 200, 3), dtype=np.uint8)
    return Photo((noise + level).astype(np.uint8), "a frame")


class Scene:
    """Where faces are: for each frame the left edges of its faces, which are 40 pixels wide."""

    def __init__(self, places: Sequence[Sequence[float]], levels: Sequence[int] | None = None) -> None:
        self.places = places
        self.levels = levels or [100] * len(places)
        self.now = 0
        self.glances: list[int] = []

    def frames(self):
        for index, level in enumerate(self.levels):
            self.now = index
            yield Frame(index, index, index / FPS, photo(level))

    def run(self) -> list[TrackedFrame]:
        return list(FaceTracker(self, self).track(self.frames()))

    def glance(self, _photo: Photo) -> list[FaceBox]:
        self.glances.append(self.now)
        return [FaceBox(x, 0, 40, 40, 0.9) for x in self.places[self.now]]

    def detect(self, _photo: Photo, box: FaceBox | None = None) -> list | Landmarks | None:
        """What the detector finds thoroughly; with a box, what the network finds in it."""
        return [] if box is None else self._near(box.x)

    def follow(self, _photo: Photo, before: Landmarks) -> Landmarks | None:
        return self._near(landmarks_extent(before).x)

    def _near(self, x: float) -> Landmarks | None:
        near = [place for place in self.places[self.now] if abs(place - x) < 15]
        return Landmarks(GRID + np.array([near[0], 0.0]), np.ones(478)) if near else None


def tracks(frames: list[TrackedFrame]) -> list[list[int]]:
    return [[face.track for face in frame.faces] for frame in frames]


def test_a_face_is_followed_and_looked_for_once_a_second():
    scene = Scene([[3.0 * n] for n in range(40)])
    assert tracks(scene.run()) == [[0]] * 40
    assert scene.glances == [0, 25]


def test_a_lost_face_is_looked_for_at_once_and_begins_a_new_track():
    scene = Scene([[10]] * 5 + [[]] * 7 + [[60]] * 3)
    assert tracks(scene.run()) == [[0]] * 5 + [[]] * 10
    assert scene.glances == [0, 5, 10]
    scene = Scene([[10]] * 5 + [[60]] * 3)
    assert tracks(scene.run()) == [[0]] * 5 + [[1]] * 3


def test_one_of_two_who_comes_back_is_found_soon():
    scene = Scene([[10, 100]] * 5 + [[100]] * 7 + [[10, 100]] * 6)
    found = tracks(scene.run())
    assert found[:12] == [[0, 1]] * 5 + [[1]] * 7
    assert found[-1] == [1, 2]


def test_newcomers_are_found_within_a_second():
    scene = Scene([[10]] * 10 + [[10, 100]] * 20)
    assert tracks(scene.run()) == [[0]] * 25 + [[0, 1]] * 5


def test_of_two_tracks_on_one_face_the_older_stays():
    scene = Scene([[10, 60]] * 3 + [[14 + 7 * min(n, 3), 56 - 7 * min(n, 3)] for n in range(5)])
    assert tracks(scene.run())[-1] == [0]


def test_a_cut_ends_all_tracks_and_begins_a_scene():
    scene = Scene([[10]] * 5 + [[12]] * 5, levels=[100] * 5 + [180] * 5)
    frames = scene.run()
    assert tracks(frames) == [[0]] * 5 + [[1]] * 5
    assert [frame.scene for frame in frames] == [0] * 5 + [1] * 5


def test_a_pan_and_a_slow_change_of_light_are_no_cuts():
    texture = np.random.default_rng(0).integers(0, 255, (60, 600), dtype=np.uint8).repeat(3).reshape(60, 600, 3)
    blocks = np.kron(texture[::20, ::20], np.ones((20, 20, 1))).astype(np.uint8)
    pan, cuts = [np.ascontiguousarray(blocks[:, 4 * n : 4 * n + 200]) for n in range(40)], CutFinder()
    assert not any(cuts.is_cut(Photo(frame, "a frame")) for frame in pan)
    cuts = CutFinder()
    assert not any(cuts.is_cut(Photo(np.full((60, 80, 3), 3 * n, np.uint8), "a frame")) for n in range(80))
