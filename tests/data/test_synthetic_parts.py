# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.data import accessories, hair, random_codes
from facefactor.data.ambient import ambient_visibility
from facefactor.data.backgrounds import Backgrounds, make_up
from facefactor.data.photo_effects import degrade
from facefactor.data.solids import ellipsoid, grid_triangles, join, tube
from facefactor.errors import AssetMissing
from facefactor.face.model import load_face_model
from facefactor.light.spherical_harmonics import evaluate_basis

SEEDS = range(200)


def volume(mesh: tuple[np.ndarray, np.ndarray]) -> float:
    """Positive when the triangles run counter-clockwise seen from outside."""
    first, second, third = np.moveaxis(mesh[0][mesh[1]], 1, 0)
    return float((first * np.cross(second, third)).sum() / 6)


def test_expressions_are_weights_and_never_tear_the_mouth() -> None:
    drawn = np.stack([random_codes.draw_expression(np.random.default_rng(seed)) for seed in SEEDS])
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    close, jaw = EXPRESSION_NAMES.index("mouthClose"), EXPRESSION_NAMES.index("jawOpen")
    assert (drawn[:, close] <= drawn[:, jaw]).all()
    assert 0.1 < (drawn[:, jaw] > 0.3).mean() < 0.5


def test_eyes_look_the_same_way_and_are_sometimes_closed() -> None:
    drawn = np.stack([random_codes.draw_expression(np.random.default_rng(seed)) for seed in SEEDS])
    index = EXPRESSION_NAMES.index
    closed = drawn[:, [index("eyeBlinkLeft"), index("eyeBlinkRight")]]
    assert 0.1 < (closed > 0.8).all(axis=1).mean() < 0.3
    assert 0.15 < ((closed[:, 0] > 0.5) != (closed[:, 1] > 0.5)).mean() < 0.4
    left, right = drawn[:, index("eyeLookOutLeft")], drawn[:, index("eyeLookInRight")]
    assert np.median(np.abs(left - right)) < 0.01


def test_skin_tones_cover_their_range() -> None:
    tones = np.array([random_codes.draw_reflectance(np.random.default_rng(seed))[0] for seed in SEEDS])
    counts, _ = np.histogram(tones, bins=5, range=(-2.5, 2.5))
    assert counts.min() > 0.06 * len(tones)


def test_poses_stay_within_their_limits() -> None:
    euler = np.stack([random_codes.draw_euler_deg(np.random.default_rng(seed)) for seed in SEEDS])
    assert (np.abs(euler) <= (75, 35, 0)).all()
    assert np.abs(euler[:, 0]).max() > 60
    assert (np.abs(euler[:, 0]) < 40).mean() > 0.75


def test_light_is_no_darker_or_brighter_than_a_photo_shows() -> None:
    front = random_codes.harmonics(np.array([0.0, 0.0, 1.0])) * random_codes.LAMBERT
    lights = [random_codes.draw_light(np.random.default_rng(seed)) for seed in SEEDS]
    facing = np.array([front @ (fill + key) for fill, key, _ in lights]).mean(axis=1)
    assert facing.min() > 0.2
    assert facing.max() < 2.0
    assert 0.7 < np.median(facing) < 1.1


def test_harmonics_are_those_of_the_light_folder() -> None:
    import torch

    directions = np.random.default_rng(0).standard_normal((5, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = evaluate_basis(torch.from_numpy(directions)).numpy()
    assert np.allclose([random_codes.harmonics(direction) for direction in directions], expected)


def test_mouth_and_neck_are_darker_than_the_cheeks() -> None:
    model = load_face_model()
    shut, opened = ambient_visibility(model)
    assert shut[model.regions["mouth_lining"]].mean() < 0.1
    assert shut[model.regions["face"]].mean() > 0.6
    assert opened[model.regions["teeth"]].mean() > shut[model.regions["teeth"]].mean()


def test_solids_face_outwards() -> None:
    path = np.linspace((0, 0, 0), (0, 3, 10), 6)
    tilted = np.array([[2.0, 0, 0], [0, 3, 0], [0, 0, 1]])
    for mesh in (tube(path, 1.0), ellipsoid(np.zeros(3), tilted)):
        assert volume(mesh) > 0
    both = join([tube(path, 1.0), ellipsoid(np.zeros(3), tilted)])
    assert both[1].max() == len(both[0]) - 1
    assert volume(ellipsoid(np.zeros(3), tilted, rows=60, columns=60)) == pytest.approx(8 * np.pi, rel=0.01)
    assert len(grid_triangles(3, 4)) == 12


def test_hair_lies_outside_the_head_and_leaves_the_face_free() -> None:
    model = load_face_model()
    chart = hair.chart_scalp(model)
    for seed in range(10):
        generator = np.random.default_rng(seed)
        cap = hair.grow_cap(chart, model.mean, np.full(3, 0.1), 10.0, chart.hairline_mm, generator)
        lift = ((cap.vertices - model.mean[chart.vertex_ids]) * chart.normals).sum(axis=1)
        assert lift.min() > 0
        assert np.asarray(cap.cover)[(chart.points[:, 1] < 40) & (np.abs(chart.azimuth_deg) < 30)].max() < 0.5


def test_glasses_stand_before_the_eyes() -> None:
    model = load_face_model()
    landmarks = (model.mean[model.landmarks478_vertices] * model.landmarks478_weights[..., None]).sum(axis=1)
    lenses, frame = accessories.put_on_glasses(landmarks, np.random.default_rng(0))
    assert lenses.vertices[:, 2].min() > landmarks[[468, 473], 2].max()
    assert np.abs(lenses.vertices[:, 0].mean()) < 1
    assert np.abs(frame.vertices[:, 0]).max() < 95


def test_backgrounds_come_from_a_folder_or_are_made_up(tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), (200, 10, 10)).save(tmp_path / "wand ü.png")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    backgrounds = Backgrounds.in_folder(tmp_path)
    assert len(backgrounds.photos) == 1
    pictures = [backgrounds.draw(64, np.random.default_rng(seed)) for seed in range(30)]
    assert sum((picture == (200, 10, 10)).all() for picture in pictures) > 20
    assert make_up(64, np.random.default_rng(0)).shape == (64, 64, 3)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="no photo"):
        Backgrounds.in_folder(tmp_path)


def test_effects_keep_the_picture_where_it_is() -> None:
    row, column = np.mgrid[:96, :96]
    spot = np.where((row - 40) ** 2 + (column - 60) ** 2 < 200, 230, 40).astype(np.uint8)
    picture = np.repeat(spot[..., None], 3, axis=2)
    for seed in range(40):
        values = degrade(picture, np.random.default_rng(seed)).astype(float).mean(axis=2)
        weight = np.clip(values - (values.min() + values.max()) / 2, 0, None)
        centre = (weight * row).sum() / weight.sum(), (weight * column).sum() / weight.sum()
        assert centre == pytest.approx((40, 60), abs=0.6)
