# SPDX-License-Identifier: Apache-2.0
"""Edits of a rendered photo, against renderings of the edited head."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from facefactor.edit import region
from facefactor.edit.composite import composite, draw_head
from facefactor.edit.head_surface import irradiance_of
from facefactor.edit.relight import match_exposure, relight
from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS, ambient_light, evaluate_basis
from facefactor.photo.colour import srgb_to_linear
from facefactor.photo.read import Photo
from facefactor.render.picture import View


def difference(picture: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference over a mask, bytes."""
    return float(np.abs(picture[mask].astype(float) - other[mask]).mean())


@pytest.mark.parametrize("light", ["left", "sunset", "top"])
def test_a_relit_photo_is_what_a_camera_would_have_seen(scene, light):
    before, after = scene.head(), scene.head(light, 0.8)
    photo, expected = scene.photo(before), scene.photo(after).srgb
    picture = composite(photo, scene.K, scene.surface, before, after)
    mask = scene.face_mask(before)
    assert difference(photo.srgb, expected, mask) > 20
    assert difference(picture, expected, mask) < 8


def test_the_photos_own_detail_is_multiplied_too(scene):
    before, after = scene.head(), scene.head("ambient", 0.5)
    photo = scene.photo(before)
    freckled = photo.srgb.copy()
    freckled[::7, ::5] = freckled[::7, ::5] * 0.6
    plain, dotted = (
        srgb_to_linear(composite(Photo(srgb.copy(), "p"), scene.K, scene.surface, before, after) / 255.0)
        for srgb in (photo.srgb, freckled)
    )
    spots = scene.face_mask(before)
    spots[:] &= np.isin(np.arange(200) % 7, 0)[:, None] & np.isin(np.arange(200) % 5, 0)[None]
    kept = srgb_to_linear(freckled / 255.0)[spots].mean() / srgb_to_linear(photo.srgb / 255.0)[spots].mean()
    assert dotted[spots].mean() / plain[spots].mean() == pytest.approx(kept, abs=0.06)


def test_nothing_far_from_the_head_changes(scene):
    before = scene.head()
    photo = scene.photo(before)
    for after in (scene.head("right"), scene.head(jawOpen=0.7)):
        picture = composite(photo, scene.K, scene.surface, before, after)
        changed = np.abs(picture.astype(int) - photo.srgb).max(axis=2) > 2
        assert changed.any()
        assert not changed[:, :6].any()
        assert not changed[:, -6:].any()


def test_a_face_that_is_not_edited_gives_the_photo_back(scene):
    head = scene.head()
    photo = scene.photo(head)
    assert np.abs(composite(photo, scene.K, scene.surface, head, head).astype(int) - photo.srgb).max() <= 1


def test_there_is_no_halo_around_a_relit_head(scene):
    """Beside the outline the wall stays the wall: the matte follows the edge between them."""
    before, after = scene.head(), scene.head("right", 1.2)
    plain = dataclasses.replace(scene, wall_srgb=np.full_like(scene.wall_srgb, 0.95))
    photo = plain.photo(before)
    picture = composite(photo, scene.K, scene.surface, before, after)
    wall = (photo.srgb > 238).all(axis=2)
    assert np.quantile(np.abs(picture.astype(int) - photo.srgb)[wall], 0.99) <= 6


@pytest.mark.parametrize(
    ("weights", "most"), [({"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}, 7), ({"jawOpen": 0.6}, 7)]
)
def test_an_edited_expression_is_what_a_camera_would_have_seen(scene, weights, most):
    before, after = scene.head(), scene.head(**weights)
    photo, expected = scene.photo(before), scene.photo(after).srgb
    picture = composite(photo, scene.K, scene.surface, before, after)
    moved = scene.face_mask(after, of_skin=True) & (np.abs(photo.srgb.astype(int) - expected).max(axis=2) > 12)
    assert moved.sum() > 300
    assert difference(picture, expected, moved) < most < 0.5 * difference(photo.srgb, expected, moved)


def test_closed_eyes_show_lids_in_the_skins_colour(scene):
    before, after = scene.head(), scene.head(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    tinted = scene.photo(before).srgb * np.array([1.0, 0.8, 0.7])  # another skin than the model's
    photo = Photo(np.rint(tinted).astype(np.uint8), "tinted")
    picture = composite(photo, scene.K, scene.surface, before, after)
    expected = scene.photo(after).srgb * np.array([1.0, 0.8, 0.7])
    eyes = scene.face_mask(after) & (np.abs(photo.srgb.astype(int) - expected).max(axis=2) > 25)
    assert eyes.sum() > 60
    assert difference(picture, expected, eyes) < 0.4 * difference(photo.srgb, expected, eyes)


def test_lids_are_not_painted_with_lashes(scene):
    """Lids that the photo shows as a black line are drawn in the skin's colour when they shut."""
    before, after = scene.head(), scene.head(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    moved_mm = np.linalg.norm(after.vertices_camera - before.vertices_camera, axis=1)
    lids = np.concatenate([around[moved_mm[around] > 2.0] for _, around in scene.surface.inner_parts[1:]])
    lashes = np.isin(np.arange(len(moved_mm)), lids)[:, None]
    painted = dataclasses.replace(before, albedo_linear=np.where(lashes, 0.004, before.albedo_linear))
    picture = composite(scene.photo(painted), scene.K, scene.surface, before, after)
    view = View(after.vertices_camera, scene.K, scene.surface.triangles, *picture.shape[:2])
    shut = view.blend(lashes.astype(np.float32))[..., 0] > 0.99
    assert shut.sum() > 60
    expected = scene.photo(after).srgb
    assert difference(picture, expected, shut) < 0.5 * difference(np.zeros_like(expected), expected, shut)


def test_an_opened_mouth_shows_nothing_of_the_shut_lips(scene):
    """Not even of a mouth that was answered a little open, so that teeth are taken to be where the photo has lips."""
    before, after, shut = scene.head(jawOpen=0.1), scene.head(jawOpen=0.7), scene.photo(scene.head()).srgb
    green, red = (
        composite(Photo(np.rint(shut * tint).astype(np.uint8), "tinted"), scene.K, scene.surface, before, after)
        for tint in (np.array([0.4, 1.0, 0.4]), np.array([1.0, 0.4, 0.4]))
    )
    inside, _ = scene.surface.inner_parts[0]
    is_inside = np.isin(np.arange(len(after.vertices_camera)), inside).astype(np.float32)
    view = View(after.vertices_camera, scene.K, scene.surface.triangles, *shut.shape[:2])
    mouth = ndimage.binary_erosion(view.blend(is_inside[:, None])[..., 0] > 0.99, iterations=2)
    assert mouth.sum() > 60
    assert difference(green, red, mouth) < 3 < 10 < difference(green, red, scene.face_mask(after))


def test_a_mouth_is_the_darker_the_deeper(scene):
    head, (mouth, around) = scene.head(jawOpen=0.7), scene.surface.inner_parts[0]
    light = irradiance_of(head, scene.surface) @ np.array(LUMINANCE_WEIGHTS)
    order = mouth[np.argsort(head.vertices_camera[mouth, 2])]  # the deepest first
    deepest, front = light[order[:300]].mean(), light[order[-300:]].mean()
    assert deepest < 0.2 * front < 0.2 * light[around].mean()


def test_a_large_photo_is_edited_as_a_small_one(scene, monkeypatch):
    before, after = scene.head(), scene.head("left")
    photo = scene.photo(before)
    exact = composite(photo, scene.K, scene.surface, before, after)
    monkeypatch.setattr(region, "LARGEST_WORKING_PX", 90)
    enlarged = composite(photo, scene.K, scene.surface, before, after)
    assert difference(enlarged, exact, scene.face_mask(before)) < 3


def test_a_head_that_is_outside_its_photo_changes_nothing(scene):
    head = scene.head()
    far = dataclasses.replace(head, vertices_camera=head.vertices_camera + np.array([2000.0, 0.0, 0.0]))
    photo = scene.photo(head)
    np.testing.assert_array_equal(composite(photo, scene.K, scene.surface, far, far), photo.srgb)


def test_a_new_light_is_as_bright_and_as_white_as_the_photos(scene):
    head = scene.head()
    warm = dataclasses.replace(head, illumination=head.illumination * np.array([1.2, 1.0, 0.7], np.float32))
    lit = match_exposure(dataclasses.replace(head, illumination=7.0 * ambient_light(np.ones(3))), warm, scene.surface)
    colour = evaluate_basis(np.array([0.0, 0.0, 1.0]))[0] * lit.illumination[0]
    assert colour / colour[1] == pytest.approx([1.2, 1.0, 0.7], abs=1e-3)
    assert 0.3 < colour @ LUMINANCE_WEIGHTS < 1.2


def test_exposure_may_be_the_lights_own(scene):
    head = scene.head()
    photo, strong = scene.photo(head), 2.0 * head.illumination
    kept, brighter = (
        relight(photo, scene.K, scene.surface, head, strong, keep_exposure=keep).astype(float) for keep in (True, False)
    )
    mask = scene.face_mask(head)
    assert difference(kept, photo.srgb, mask) < 2
    assert brighter[mask].mean() > photo.srgb[mask].mean() + 15


def test_a_head_alone_is_drawn_before_black(scene):
    picture = draw_head(scene.head(), scene.K, scene.surface, (200, 180))
    assert picture.shape == (200, 180, 3)
    assert picture[0, 0].max() == 0
    assert picture[100, 100].min() > 30
