# SPDX-License-Identifier: Apache-2.0
"""Steps of colour over borders against steps as wide elsewhere, of a face half of which is turned away.

The photo is lit by a lamp that the face code knows nothing of, so that its colours fit the face model's nowhere: a
texture that were cut out of it would show each border.
"""

import numpy as np
import pytest

from facefactor.face.adjacency import triangle_sides
from facefactor.face.closest import closest_points
from facefactor.render.vertex import sample_picture

STEP_MM = 1.2
SEEN = 0.3
"""Cosine between normal and view at the border of sight; what is hidden has zero."""
UNKNOWN_LAMP = ((-0.9, 0.1, 0.4), (0.8, 0.8, 0.8))


@pytest.fixture(scope="module")
def painted(paint):
    return paint(-40.0, pattern=_speckles, unknown_light=UNKNOWN_LAMP)


@pytest.fixture(scope="module")
def beside(model, surface_mm, places) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The places a step to the subject's left of `places`, on the surface."""
    _, _, place_mm = places
    found = closest_points(place_mm + np.array([STEP_MM, 0, 0]), surface_mm, model.triangles_subdivided)
    return found.triangles, found.barycentrics, found.points


@pytest.fixture(scope="module")
def steps_of(places, beside, read_texture):
    """A function of a texture that gives the steps of its colours between `places` and those beside, (N,)."""

    def steps(texture_srgb: np.ndarray) -> np.ndarray:
        here, there = (read_texture(texture_srgb, *some[:2]) for some in (places, beside))
        return np.abs(np.log(here / there)).mean(axis=1)

    return steps


def _speckles(place_mm: np.ndarray) -> np.ndarray:
    return 0.12 * np.sin(2 * np.pi * place_mm[:, 0] / 5.0) * np.sin(2 * np.pi * place_mm[:, 1] / 5.0)


def test_at_the_midline(steps_of, places, beside, painted):
    here, there = places[2], beside[2]
    across = (here[:, 0] < 0) & (there[:, 0] > 0)
    near = (np.abs(here[:, 0]) > 3) & (np.abs(here[:, 0]) < 9)
    steps = steps_of(painted.texture_srgb)
    assert across.sum() > 100
    assert steps[across].mean() < 1.2 * steps[near].mean()


def test_at_the_border_of_sight(steps_of, places, beside, painted, model, texture, albedo):
    def at(some: tuple, values: np.ndarray) -> np.ndarray:
        return (some[1] * values[model.triangles_subdivided[some[0]]]).sum(axis=1)

    is_seen = painted.detail.seen > SEEN
    on_border = (at(places, is_seen) < 0.5) != (at(beside, is_seen) < 0.5)
    inside = (at(places, painted.detail.trust) > 0.9) & (at(beside, painted.detail.trust) > 0.9)
    assert on_border.sum() > 100
    plain = steps_of(texture.plain(albedo))  # lids, lips and nostrils, where sight ends too
    steps = steps_of(painted.texture_srgb) - plain
    assert steps[on_border].mean() < 1.2 * steps[inside].mean()
    # The measure sees a seam where there is one: the photo's colours where they are seen, and the model's elsewhere.
    pasted_linear = np.where(is_seen[:, None], np.exp(painted.detail.log_expected), albedo)
    pasted = steps_of(texture.plain(pasted_linear)) - plain
    assert pasted[on_border].mean() > 3 * pasted[inside].mean()


def test_between_charts(model, painted):
    sides, uv_sides = (triangle_sides(of) for of in (model.triangles_subdivided, model.uv_triangles_subdivided))
    order = np.argsort(sides, axis=1)
    sides, uv_sides = np.take_along_axis(sides, order, 1), np.take_along_axis(uv_sides, order, 1)
    by_edge = np.lexsort(sides.T)
    first, second = by_edge[:-1], by_edge[1:]
    is_seam = (sides[first] == sides[second]).all(axis=1) & (uv_sides[first] != uv_sides[second]).all(axis=1)
    assert is_seam.sum() > 100

    def colours(side: np.ndarray) -> np.ndarray:
        u, v = model.uv_subdivided[uv_sides[side[is_seam]]].mean(axis=1).T
        positions_px = np.stack([u, 1 - v], axis=1) * len(painted.texture_srgb)
        return sample_picture(painted.texture_srgb[None].astype(float), positions_px[None])[0]

    steps = np.abs(colours(first) - colours(second)).mean(axis=1)  # of 255
    thin = np.concatenate([model.regions[name] for name in ("lip_seam", "left_lid_margin", "right_lid_margin")])
    is_thin = (model.subdivision[:, thin].sum(axis=1).A1 > 0.5)[sides[first[is_seam]]].any(axis=1)
    assert (~is_thin).sum() > 100
    assert np.percentile(steps[~is_thin], 95) < 2.0
    # Lids and lips run along their seams, some of them within one texel.
    assert steps.mean() < 4.0
