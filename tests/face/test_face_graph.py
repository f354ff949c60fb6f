# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.face.face_graph import FaceGraph
from facefactor.face.model import FaceModel


@pytest.fixture(scope="module")
def graph(shipped_model: FaceModel) -> FaceGraph:
    return FaceGraph(shipped_model)


@pytest.fixture(scope="module")
def place_mm(shipped_model: FaceModel) -> np.ndarray:
    """(S, 3) the mean head's subdivided vertices."""
    return shipped_model.subdivision @ shipped_model.mean


def test_a_native_vertex_is_in_the_face_where_its_region_says_so_but_at_the_border(graph, shipped_model):
    native = np.flatnonzero(graph.in_face[: shipped_model.num_vertices])
    assert set(native) <= set(shipped_model.regions["face"])
    assert len(native) > 0.85 * len(shipped_model.regions["face"])


def test_feathered_weights_fall_softly_and_grow_nowhere(graph, place_mm):
    weights = (place_mm[:, 0] > 0).astype(float) * graph.in_face
    soft = graph.feather(weights)
    assert (soft <= weights).all()
    front = graph.in_face & (place_mm[:, 2] > 20) & (np.abs(place_mm[:, 1] - 25) < 5)
    assert soft[front & (place_mm[:, 0] > 25)].min() > 0.9
    assert soft[front & (place_mm[:, 0] > 0) & (place_mm[:, 0] < 3)].max() < 0.5


def test_the_mean_around_ignores_what_has_no_weight(graph):
    generator = np.random.default_rng(0)
    weights = (generator.random(len(graph.in_face)) < 0.3).astype(float)
    values = np.where(weights > 0, 2.5, 1e3)
    np.testing.assert_allclose(graph.average_around(values[:, None], weights)[graph.in_face], 2.5, atol=0.01)


def test_what_is_smooth_stays_and_what_is_fine_goes(graph, place_mm):
    everywhere = np.ones(len(place_mm))
    wide = np.sin(place_mm[:, :1] / 60.0)
    fine = np.random.default_rng(0).normal(size=wide.shape)
    inside = graph.in_face & (np.abs(place_mm[:, 0]) < 40) & (place_mm[:, 2] > 10)
    smooth = graph.smooth(np.hstack([wide, fine]), everywhere, 20.0)
    assert np.abs(smooth[inside, 0] - wide[inside, 0]).mean() < 0.05
    assert smooth[inside, 1].std() < 0.45
    np.testing.assert_array_equal(smooth[~graph.in_face], 0.0)


def test_a_constant_is_continued_where_it_is_not_known(graph, place_mm):
    known = (place_mm[:, 0] > 10).astype(float)
    smooth = graph.smooth(np.where(known, 0.7, 99.0)[:, None], known, 36.0)
    np.testing.assert_allclose(smooth[graph.in_face & (place_mm[:, 0] > -20)], 0.7, atol=0.1)
