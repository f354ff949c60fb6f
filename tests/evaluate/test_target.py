# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from facefactor.evaluate.target import (
    FACE_RADIUS_MM,
    NUM_POINTS,
    cloud_normals,
    in_openings,
    in_polygon,
    make_target,
    sample_surface,
    seen_triangles,
)

MIDDLE = np.array([0.0, -30.0, 0.0])
"""Where the views look."""


@pytest.fixture(scope="module")
def ball():
    """A ball of radius 50 mm in the middle of the views."""
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=50.0)
    return mesh.vertices + MIDDLE, mesh.faces


def test_a_polygon_holds_its_inside_and_nothing_else():
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    points = np.array([[1.0, 1.0], [3.0, 1.0], [-1.0, 1.0], [1.0, 2.5], [1.9, 0.1]])
    assert in_polygon(points, square).tolist() == [True, False, False, False, True]


def test_a_ball_inside_another_is_not_seen(ball):
    vertices, triangles = ball
    inner = (vertices - MIDDLE) * 0.5 + MIDDLE
    both = np.concatenate([triangles, triangles + len(vertices)])
    seen = seen_triangles(np.concatenate([vertices, inner]), both)
    assert len(seen) > 0
    assert seen.max() < len(triangles)


def test_the_back_of_a_ball_is_not_seen(ball):
    vertices, triangles = ball
    behind = vertices[triangles].mean(axis=1)[:, 2] < -49.0
    assert not np.isin(np.flatnonzero(behind), seen_triangles(vertices, triangles)).any()


def test_points_of_a_ball_lie_on_it_with_their_normals_outward(ball):
    vertices, triangles = ball
    points, normals = sample_surface(vertices, triangles, 2000, np.random.default_rng(0))
    arms = points - MIDDLE
    radii = np.linalg.norm(arms, axis=1)
    assert np.abs(radii - 50.0).max() < 0.2  # flat facets lie inside the ball
    assert ((arms / radii[:, None]) * normals).sum(axis=1).min() > 0.999


def test_points_are_even_by_area_not_by_triangle():
    vertices = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [1, 0, 5], [0, 0, 5], [0, 1, 5]], dtype=float)
    points, _ = sample_surface(vertices, np.array([[0, 1, 2], [3, 4, 5]]), 5000, np.random.default_rng(0))
    assert (points[:, 2] == 5.0).mean() == pytest.approx(1 / 101, abs=0.005)  # 0.005 is 3.5 deviations


def test_normals_of_a_cloud_point_out_of_the_face():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4000, 3))
    directions = directions[directions[:, 2] > 0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    normals = cloud_normals(80.0 * directions)
    assert np.quantile((normals * directions).sum(axis=1), 0.05) > 0.95


def test_the_measured_face_is_near_the_nose_and_outside_the_openings(make_raw_face):
    raw = make_raw_face(np.zeros(80), np.zeros(52))
    target = make_target(raw)
    tip = target.landmarks.points[30 - 17]
    marks = np.full((68, 3), np.nan)
    marks[17:] = target.landmarks.points
    assert len(target.points) == NUM_POINTS
    assert np.linalg.norm(target.points - tip, axis=1).max() <= FACE_RADIUS_MM
    assert not in_openings(target.points, marks).any()


def test_frame_and_unit_of_the_file_do_not_matter(make_raw_face):
    raw = make_raw_face(np.zeros(80), np.zeros(52))
    turn = Rotation.from_euler("xyz", [0.4, -1.0, 2.0]).as_matrix()

    def move(points):
        return 0.03 * points @ turn.T + [5.0, -2.0, 1.0]

    moved = dataclasses.replace(
        raw,
        vertices=move(raw.vertices),
        ibug=move(raw.ibug),
        landmarks=dataclasses.replace(raw.landmarks, points=move(raw.landmarks.points)),
    )
    np.testing.assert_allclose(make_target(moved).points, make_target(raw).points, atol=1e-6)
