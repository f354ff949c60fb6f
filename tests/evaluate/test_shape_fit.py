# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.evaluate import shape_fit
from facefactor.evaluate.shape_fit import fit_mean, fit_shape
from facefactor.evaluate.target import make_target
from facefactor.face.closest import closest_points
from facefactor.face.linear_bases import JAW_OPEN, MOUTH_CLOSE

NEUTRAL = np.zeros(len(EXPRESSION_NAMES))


def distances(surface, target, fit):
    points = fit.to_model.apply(target.points)
    return closest_points(points, fit.vertices, surface.triangles).distances


@pytest.fixture(scope="module")
def own_shape():
    return 0.8 * np.random.default_rng(0).normal(size=80)


@pytest.fixture(scope="module")
def own_target(make_raw_face, own_shape):
    return make_target(make_raw_face(own_shape, NEUTRAL))


@pytest.fixture(scope="module")
def own_fit(surface, own_target):
    return fit_shape(surface, own_target)


def test_a_face_of_the_model_is_found_again(surface, own_shape, own_target, own_fit):
    assert distances(surface, own_target, own_fit).mean() < 0.15  # the prior keeps a little
    leading = slice(0, 12)
    assert np.abs(own_fit.shape[leading] - own_shape[leading]).mean() < 0.25
    assert np.corrcoef(own_fit.shape, own_shape)[0, 1] > 0.8  # some components move mostly skull and neck


def test_the_shape_comes_nearer_than_the_mean_face(surface, own_target, own_fit):
    mean = fit_mean(surface, own_target)
    assert not mean.shape.any()
    assert distances(surface, own_target, own_fit).mean() < 0.25 * distances(surface, own_target, mean).mean()


def test_a_similarity_of_the_target_changes_nothing_but_the_similarity(surface, own_target, own_fit):
    turn = Rotation.from_euler("xyz", [0.2, -0.3, 0.1]).as_matrix()

    def move(points):
        return 1.3 * points @ turn.T + [10.0, -20.0, 5.0]

    moved = dataclasses.replace(
        own_target,
        points=move(own_target.points),
        normals=own_target.normals @ turn.T,
        landmarks=dataclasses.replace(own_target.landmarks, points=move(own_target.landmarks.points)),
    )
    fit = fit_shape(surface, moved)
    np.testing.assert_allclose(fit.shape, own_fit.shape, atol=1e-3)
    assert fit.to_model.scale == pytest.approx(own_fit.to_model.scale / 1.3, rel=1e-4)


def test_an_expression_is_found_where_the_target_may_have_one(surface, make_raw_face):
    weights = NEUTRAL.copy()
    weights[[JAW_OPEN, EXPRESSION_NAMES.index("browInnerUp")]] = 0.7, 0.8
    raw = make_raw_face(np.zeros(80), weights, tuple(EXPRESSION_NAMES))
    target = make_target(raw)
    fit = fit_shape(surface, target)
    assert np.abs(fit.expression - weights).max() < 0.25  # the identity takes a little of it
    assert fit.expression.min() >= 0.0
    assert fit.expression[MOUTH_CLOSE] <= fit.expression[JAW_OPEN]
    neutral = fit_shape(surface, dataclasses.replace(target, expressions=()))
    assert not neutral.expression.any()
    assert distances(surface, target, fit).mean() < distances(surface, target, neutral).mean()


def test_columns_are_the_derivative_of_the_vertices(surface):
    rng = np.random.default_rng(1)
    shape, expression = rng.normal(size=80), rng.uniform(0, 0.5, 52)
    expression[MOUTH_CLOSE] = 0.5 * expression[JAW_OPEN]
    here = surface.vertices(shape, expression).ravel()
    for columns, moved in (
        (surface.shape_columns_under(expression)[:, 3], surface.vertices(shape + np.eye(80)[3], expression)),
        (surface.expression_columns(shape)[:, 20], surface.vertices(shape, expression + np.eye(52)[20])),
    ):
        np.testing.assert_allclose(columns, moved.ravel() - here, atol=2e-4)  # float32 of 100 mm


def test_bounded_unknowns_are_solved_exactly():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 9))
    lower, upper = np.full(8, -np.inf), np.full(8, np.inf)
    lower[5:], upper[5:] = 0.0, 1.0
    expected = lsq_linear(rows[:, :-1], rows[:, -1], (lower, upper)).x
    np.testing.assert_allclose(shape_fit._solve(rows, first_bounded=5), expected, atol=1e-6)
