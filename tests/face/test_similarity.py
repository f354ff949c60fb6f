# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facefactor.face.similarity import fit_similarity


@pytest.mark.parametrize("with_scale", [True, False])
def test_a_known_similarity_is_recovered(with_scale: bool):
    rng = np.random.default_rng(0)
    points, rotation = rng.normal(size=(30, 3)), Rotation.random(random_state=1).as_matrix()
    scale = 1.7 if with_scale else 1.0
    moved = scale * points @ rotation.T + [3.0, -4.0, 5.0]
    found = fit_similarity(points, moved, with_scale=with_scale)
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(found.apply(points), moved, atol=1e-9)


def test_no_similarity_near_the_found_one_fits_better():
    rng = np.random.default_rng(2)
    source, target, weights = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), rng.uniform(size=20)
    found = fit_similarity(source, target, weights)

    def cost(scale: float, rotation: np.ndarray, translation: np.ndarray) -> float:
        return float((weights * ((scale * source @ rotation.T + translation - target) ** 2).sum(axis=1)).sum())

    least = cost(found.scale, found.rotation, found.translation)
    for _ in range(50):
        turn = Rotation.from_rotvec(0.05 * rng.normal(size=3)).as_matrix()
        shift = 0.05 * rng.normal(size=3)
        assert cost(found.scale + 0.05 * rng.normal(), turn @ found.rotation, found.translation + shift) >= least


def test_a_mirrored_set_is_turned_and_never_mirrored():
    points = np.random.default_rng(3).normal(size=(30, 3))
    found = fit_similarity(points, points * [-1, 1, 1])
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_points_without_weight_do_not_count():
    points = np.random.default_rng(4).normal(size=(10, 3))
    target = points + np.array([1.0, 2.0, 3.0])
    target[0] = 1000.0
    weights = np.array([0.0] + [1.0] * 9)
    found = fit_similarity(points, target, weights)
    np.testing.assert_allclose(found.translation, [1.0, 2.0, 3.0], atol=1e-9)
    assert found.scale == pytest.approx(1.0)
