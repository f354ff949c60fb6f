# SPDX-License-Identifier: Apache-2.0
"""The landmark record and the numbers of its points."""

import numpy as np
import pytest

from facefactor.photo import landmarks as names
from facefactor.photo.landmarks import Landmarks


def test_contours_that_share_ends_share_their_points() -> None:
    for upper, lower in [
        (names.RIGHT_EYE_UPPER, names.RIGHT_EYE_LOWER),
        (names.LEFT_EYE_UPPER, names.LEFT_EYE_LOWER),
        (names.LIPS_OUTER_UPPER, names.LIPS_OUTER_LOWER),
        (names.LIPS_INNER_UPPER, names.LIPS_INNER_LOWER),
    ]:
        assert (upper[0], upper[-1]) == (lower[0], lower[-1])
        assert set(upper) & set(lower) == {upper[0], upper[-1]}


def test_contours_are_those_of_the_published_topology() -> None:
    mesh = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections", reason="mediapipe is not installed")
    lips = {*names.LIPS_OUTER_UPPER, *names.LIPS_OUTER_LOWER, *names.LIPS_INNER_UPPER, *names.LIPS_INNER_LOWER}
    for ids, edges in [
        (lips, mesh.FACEMESH_LIPS),
        ({*names.RIGHT_EYE_UPPER, *names.RIGHT_EYE_LOWER}, mesh.FACEMESH_RIGHT_EYE),
        ({*names.LEFT_EYE_UPPER, *names.LEFT_EYE_LOWER}, mesh.FACEMESH_LEFT_EYE),
        ({*names.RIGHT_BROW_UPPER, *names.RIGHT_BROW_LOWER}, mesh.FACEMESH_RIGHT_EYEBROW),
        ({*names.LEFT_BROW_UPPER, *names.LEFT_BROW_LOWER}, mesh.FACEMESH_LEFT_EYEBROW),
        (set(names.FACE_OVAL), mesh.FACEMESH_FACE_OVAL),
        (set(names.RIGHT_IRIS[1:]), mesh.FACEMESH_RIGHT_IRIS),
        (set(names.LEFT_IRIS[1:]), mesh.FACEMESH_LEFT_IRIS),
    ]:
        assert set(ids) == {point for edge in edges for point in edge}


def test_the_51_inner_points_are_all_different() -> None:
    assert len(set(names.IBUG_51_FROM_478)) == 51
    assert max(names.IBUG_51_FROM_478) < names.NUM_MESH_LANDMARKS


def test_landmarks_of_another_count_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(478, 2\)"):
        Landmarks(np.zeros((68, 2)), np.ones(68))
