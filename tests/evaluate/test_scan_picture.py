# SPDX-License-Identifier: Apache-2.0
import numpy as np

from facefactor.evaluate.scan_picture import CELL_PX, draw_row, error_colours, triangulate_cloud
from facefactor.evaluate.shape_fit import fit_mean
from facefactor.evaluate.target import make_target


def test_errors_run_from_blue_to_red():
    colours = error_colours(np.array([0.0, 1.5, 3.0, 9.0]))
    assert colours.argmax(axis=1).tolist() == [2, 1, 0, 0]
    np.testing.assert_array_equal(colours[2], colours[3])


def test_a_cloud_is_covered_by_triangles_that_face_outward():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4000, 3))
    directions = directions[directions[:, 2] > 0.3 * np.linalg.norm(directions, axis=1)]
    points = 80.0 * directions / np.linalg.norm(directions, axis=1, keepdims=True) + [0.0, -30.0, -95.0]
    triangles = triangulate_cloud(points)
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    outward = (np.cross(b - a, c - a) * (a - [0.0, -30.0, -95.0])).sum(axis=1)
    assert len(np.unique(triangles)) > 0.95 * len(points)
    assert (outward > 0).mean() > 0.99


def test_a_row_shows_eight_cells_with_something_in_each(surface, make_raw_face):
    target = make_target(make_raw_face(np.zeros(80), np.zeros(52)))
    mean = fit_mean(surface, target)
    row = draw_row(surface, target, mean, mean)
    assert row.shape == (CELL_PX, 8 * CELL_PX, 3)
    middles = row[CELL_PX // 2, CELL_PX // 2 :: CELL_PX].astype(int)
    assert (middles.min(axis=1) < 240).all()
    assert middles[6, 2] > middles[6, 0] + 50  # no error: blue
