# SPDX-License-Identifier: Apache-2.0
"""The photometric error that is reported (`render/skin_error.py`), on the fit's scenes, whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facefactor.light.spherical_harmonics import ambient_light


@pytest.fixture(scope="module")
def mean_albedo(face) -> np.ndarray:
    return face.albedo(torch.zeros(1, 80))[0].numpy()


def test_the_truth_explains_its_picture(scene, skin_of):
    skin, albedo = skin_of(scene, scene.code)
    # 0.015: a picture of 224 px averages each pixel and the subdivided mesh, vertices are points of the native one.
    assert skin.error(albedo, scene.code.illumination.numpy()) < 0.015


def test_the_skin_is_that_of_the_face_which_is_seen(scene, skin_of, model):
    skin, _ = skin_of(scene, scene.code)
    assert np.isin(skin.vertex_ids, model.regions["face"]).all()
    assert (skin.normals_camera[:, 2] > 0).all()
    # A face fills some 40 % of its crop.
    assert 0.3 < skin.pixels.sum() / scene.crop_srgb[..., 0].numel() < 0.5


def test_the_baseline_is_perfect_where_the_face_is_as_plain_as_it_assumes(render, known_code, skin_of, mean_albedo):
    plain = known_code.with_reflectance(torch.zeros(80)).with_light(ambient_light(torch.full((3,), 0.8)))
    skin, _ = skin_of(render(plain), plain)
    # The strengths tried are 0.05 apart, so within 0.025 of 0.8: 1.5 % of an sRGB value of 0.5, in three channels.
    assert skin.baseline_error(mean_albedo) < 0.02


def test_the_baseline_is_far_worse_than_the_truth(scene, skin_of, mean_albedo):
    skin, albedo = skin_of(scene, scene.code)
    assert skin.baseline_error(mean_albedo) > 3 * skin.error(albedo, scene.code.illumination.numpy())


def test_pixels_that_the_photo_does_not_cover_are_not_looked_at(scene, skin_of):
    coverage = np.ones(scene.crop_srgb.shape[:2], dtype=bool)
    coverage[:, 120:] = False
    spoiled = scene.crop_srgb.clone()
    spoiled[:, 122:] = 0.0  # two pixels in, as colours are read between pixels
    errors = []
    for seen in (coverage, None):
        skin, albedo = skin_of(replace(scene, crop_srgb=spoiled), scene.code, seen)
        errors.append(skin.error(albedo, scene.code.illumination.numpy()))
    assert errors[0] < 0.02
    assert errors[1] > 0.1


def test_of_a_face_seen_from_behind_there_is_no_error(scene, skin_of):
    behind = scene.code.with_pose(torch.tensor([0.0, torch.pi, 0.0]), scene.code.translation)
    skin, albedo = skin_of(scene, behind)
    assert len(skin.vertex_ids) == 0
    assert skin.error(albedo, scene.code.illumination.numpy()) == 0.0
