# SPDX-License-Identifier: Apache-2.0
"""Corrections of the albedo are made up, and shown to one side only."""

import numpy as np
import pytest

from facefactor.export.completion import AlbedoCompletion
from facefactor.face.face_graph import FaceGraph
from facefactor.face.fade import face_opacity

FRECKLED, LEAK = -0.3, 0.5
"""Log corrections of the side that is seen, and of the one that is not."""


@pytest.fixture(scope="module")
def graph(model) -> FaceGraph:
    return FaceGraph(model)


@pytest.fixture(scope="module")
def completion(model, graph) -> AlbedoCompletion:
    return AlbedoCompletion(model, graph)


def correction_of(completed: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    return np.log(completed / albedo).mean(axis=1)


def test_without_corrections_nothing_changes(completion, albedo):
    assert completion.complete(albedo, albedo, np.zeros(len(albedo))) is albedo


def test_what_is_seen_stays(completion, graph, albedo):
    corrected = albedo * np.exp(np.random.default_rng(0).normal(0, 0.1, albedo.shape)).astype(np.float32)
    completed = completion.complete(albedo, corrected, np.ones(len(albedo)))
    np.testing.assert_allclose(completed, corrected.clip(0.01, 0.95), rtol=1e-4)


def test_the_side_that_is_not_seen_takes_the_other_ones_corrections(completion, graph, albedo, surface_mm):
    left = surface_mm[:, 0] > 0
    corrected = albedo * np.exp(np.where(left, FRECKLED, LEAK))[:, None]
    completed = completion.complete(albedo, corrected, left.astype(float))
    far = graph.in_face & (surface_mm[:, 0] < -20) & (surface_mm[:, 2] > 0)
    np.testing.assert_allclose(correction_of(completed, albedo)[far], FRECKLED, atol=0.02)


def test_nothing_is_taken_from_beside_the_face(completion, albedo, surface_mm):
    corrected = albedo * np.float32(np.exp(LEAK))
    completed = completion.complete(albedo, corrected, np.zeros(len(albedo)))
    ears_and_scalp = np.abs(surface_mm[:, 0]) > 70
    np.testing.assert_allclose(completed[ears_and_scalp], albedo[ears_and_scalp].clip(0.01, 0.95), rtol=1e-6)


def test_the_mouths_lining_keeps_its_corrections(completion, model, albedo):
    corrected = albedo * np.float32(np.exp(FRECKLED))
    completed = completion.complete(albedo, corrected, np.zeros(len(albedo)))
    lining = model.regions["mouth_lining"]
    np.testing.assert_allclose(completed[lining], corrected[lining].clip(0.01, 0.95), rtol=1e-6)


def test_what_neither_side_shows_continues_what_is_around(completion, graph, albedo, surface_mm):
    in_ring = np.abs(np.abs(surface_mm[:, 0]) - 30) < 9  # a strip on either cheek
    corrected = albedo * np.exp(np.where(in_ring, LEAK, FRECKLED))[:, None]
    completed = completion.complete(albedo, corrected, (~in_ring).astype(float))
    strip = graph.in_face & in_ring & (surface_mm[:, 2] > 10) & (np.abs(surface_mm[:, 1] + 20) < 40)
    assert strip.sum() > 200
    np.testing.assert_allclose(correction_of(completed, albedo)[strip], FRECKLED, atol=0.06)


def test_the_completed_albedo_meets_the_models_at_the_faces_border_without_a_step(
    model, completion, graph, albedo, surface_mm
):
    """Nothing is seen but the middle; corrections end at the face's border, as the learned ones do."""
    fade = (model.subdivision @ face_opacity(model))[:, None]
    corrected = albedo * np.exp(FRECKLED * fade)
    completed = completion.complete(albedo, corrected, (np.abs(surface_mm[:, 0]) < 25).astype(float))
    change = correction_of(completed, albedo)
    corners = model.triangles_subdivided
    steps = np.abs(change[corners] - change[np.roll(corners, 1, axis=1)]).max(axis=1)
    on_border = graph.in_face[corners].any(axis=1) & ~graph.in_face[corners].all(axis=1)
    assert steps[on_border].max() < 0.08
