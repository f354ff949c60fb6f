# SPDX-License-Identifier: Apache-2.0
"""What was painted on a rendered face should be in its texture, and nothing else; see conftest.py."""

import numpy as np
import pytest

from facefactor.export.photo_texture import PhotoTexture


@pytest.fixture(scope="module")
def change_of(albedo: np.ndarray, texture: PhotoTexture, places, read_texture):
    """A function that gives the log change of a painted texture from the plain one, (N,) at the places."""
    triangles, weights, _ = places
    plain = read_texture(texture.plain(albedo), triangles, weights)

    def change(texture_srgb: np.ndarray) -> np.ndarray:
        return np.log(read_texture(texture_srgb, triangles, weights) / plain).mean(axis=1)

    return change


def pores(place_mm: np.ndarray) -> np.ndarray:
    """A grid of 3.2 mm."""
    return 0.25 * np.sin(2 * np.pi * place_mm[:, 0] / 3.2) * np.sin(2 * np.pi * place_mm[:, 1] / 3.2)


def mole(place_mm: np.ndarray, at_mm: tuple[float, float] = (32.0, -35.0), radius_mm: float = 4.0) -> np.ndarray:
    """A soft dark spot on the subject's left cheek."""
    distance = np.linalg.norm(place_mm[:, :2] - at_mm, axis=1)
    return -0.3 * np.exp(-((distance / radius_mm) ** 2)) * (place_mm[:, 2] > 0)


def test_a_photo_like_its_rendering_adds_little(paint, change_of):
    assert np.percentile(np.abs(change_of(paint(0.0).texture_srgb)), 90) < 0.1


def test_detail_finer_than_the_vertices_arrives(paint, change_of, places, albedo, texture):
    _, _, place_mm = places
    painted = paint(0.0, pores)
    plain = change_of(paint(0.0).texture_srgb)
    frontal = (np.abs(place_mm[:, 0]) < 40) & (place_mm[:, 2] > 25) & (np.abs(place_mm[:, 1] + 30) < 18)
    assert frontal.sum() > 500
    wanted = pores(place_mm)[frontal]
    by_texels = (change_of(painted.texture_srgb) - plain)[frontal]
    by_vertices = change_of(texture.plain(painted.detail.applied_to(albedo)))[frontal]
    assert np.corrcoef(by_texels, wanted)[0, 1] > 0.7
    assert np.corrcoef(by_vertices, wanted)[0, 1] < 0.4  # what this texture is for


def test_a_seen_mole_is_painted_once_when_both_cheeks_are_seen(paint, change_of, places):
    _, _, place_mm = places
    change = change_of(paint(0.0, mole).texture_srgb) - change_of(paint(0.0).texture_srgb)
    left, right = mole(place_mm) < -0.2, mole(place_mm * (-1, 1, 1)) < -0.2
    assert change[left].mean() < -0.15
    assert abs(change[right].mean()) < 0.02


def test_a_cheek_that_is_not_seen_takes_the_other_ones_detail(paint, change_of, places):
    _, _, place_mm = places
    change = change_of(paint(-55.0, mole).texture_srgb) - change_of(paint(-55.0).texture_srgb)
    seen, mirrored = mole(place_mm) < -0.2, mole(place_mm * (-1, 1, 1)) < -0.2
    assert change[seen].mean() < -0.15
    assert change[mirrored].mean() == pytest.approx(change[seen].mean(), abs=0.06)


def test_hair_over_the_seen_cheek_is_not_mirrored(paint, change_of, places):
    def strands(place: np.ndarray) -> np.ndarray:
        on_cheek = (place[:, 0] > 20) & (np.abs(place[:, 1] + 30) < 20)
        return np.where(on_cheek & (np.sin(2 * np.pi * place[:, 1] / 6.0) > 0.2), -1.6, 0.0)

    _, _, place_mm = places
    change = change_of(paint(-55.0, strands).texture_srgb) - change_of(paint(-55.0).texture_srgb)
    far = (place_mm[:, 0] < -24) & (np.abs(place_mm[:, 1] + 30) < 16)
    assert far.sum() > 300
    assert np.abs(change[far]).mean() < 0.02
    assert change[far].min() > -0.1


def test_only_the_face_is_painted(paint, albedo, texture):
    is_painted = (paint(0.0, pores).texture_srgb != texture.plain(albedo)).any(axis=2)
    assert 0.04 < is_painted.mean() < 0.12  # the face's share of the layout
    assert not is_painted[:150].any()  # the scalp
    assert not is_painted[700:].any()  # back of the head, eyes, mouth


def test_a_highlight_stays_out(paint, change_of, places):
    def glare(place: np.ndarray) -> np.ndarray:
        return 0.25 * np.exp(-((np.linalg.norm(place[:, :2] - (30.0, -30.0), axis=1) / 5.0) ** 2)) * (place[:, 2] > 0)

    _, _, place_mm = places
    glossy, matt = paint(0.0, gloss=glare), paint(0.0)
    change = change_of(glossy.texture_srgb) - change_of(matt.texture_srgb)
    spot = glare(place_mm) > 0.15
    assert spot.sum() > 30
    assert change[spot].max() < 0.1  # the photo there is brighter by more than a half
    assert (glossy.detail.log_fine - matt.detail.log_fine).max() > 0.4
