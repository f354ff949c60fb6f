# SPDX-License-Identifier: Apache-2.0
"""The identity space on synthetic populations, whose modes are known, and the sampling of MakeHuman's heads."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facefactor.face.build import identity
from facefactor.face.build.makehuman import BaseMesh
from facefactor.face.build.mesh import EYE_PARTS, HeadTopology
from facefactor.face.build.regions import Regions, mirror_vertices

NUM_HEADS, NUM_MODES = 60, 3


@pytest.fixture(scope="module")
def face(template: np.ndarray, regions: Regions) -> np.ndarray:
    """(V,) bool: the front of the outer skin."""
    inside = np.zeros(len(template), dtype=bool)
    inside[np.setdiff1d(regions.outer_skin, regions.ears)] = True
    return inside & (template[:, 2] > 10)


@pytest.fixture(scope="module")
def planted(template: np.ndarray) -> np.ndarray:
    """(3, V, 3) smooth modes of 3, 2 and 1 mm that neither move, turn nor scale the face as a whole."""
    x, y, z = template.T / 25.0
    zero = np.zeros_like(x)
    waves = (
        np.stack([zero, zero, np.sin(2 * y)], axis=1),
        np.stack([np.sin(3 * x), zero, zero], axis=1),
        np.stack([zero, np.cos(3 * x + z), zero], axis=1),
    )
    return np.stack([size * wave for size, wave in zip((3.0, 2.0, 1.0), waves, strict=True)])


@pytest.fixture(scope="module")
def space(template, planted, face, topology, regions) -> identity.IdentitySpace:
    """Of heads that differ by the planted modes only; each lies in its own similarity frame."""
    rng = np.random.default_rng(0)
    heads = template + np.einsum("nk,kvd->nvd", rng.normal(size=(NUM_HEADS, NUM_MODES)), planted)
    for i, head in enumerate(heads):
        turn = Rotation.from_rotvec(0.2 * rng.normal(size=3)).as_matrix()
        heads[i] = rng.uniform(0.8, 1.2) * head @ turn.T + 30 * rng.normal(size=3)
    return identity.identity_space([heads.astype(np.float32)], face, topology, regions, NUM_MODES)


def spans(basis: np.ndarray, field: np.ndarray) -> float:
    """Share of a field (N,) that lies in the span of basis (K, N)."""
    coefficients = np.linalg.lstsq(basis.T, field, rcond=None)[0]
    return 1 - float(((field - coefficients @ basis) ** 2).sum() / (field**2).sum())


def test_the_space_of_planted_modes_explains_the_heads(space: identity.IdentitySpace):
    assert space.basis.shape[0] == NUM_MODES
    # Aligning each head by a similarity bends the planted directions a little, by the square of their size.
    assert space.explained > 0.97


def test_the_planted_modes_are_found_on_the_face(space: identity.IdentitySpace, planted, template, face):
    basis = space.basis[:, face].reshape(NUM_MODES, -1)
    arms = template[face]
    rigid = [np.tile(axis, (face.sum(), 1)) for axis in np.identity(3)]
    rigid += [np.cross(axis, arms) for axis in np.identity(3)] + [arms]
    with_rigid = np.concatenate([basis, np.array(rigid).reshape(7, -1)])
    for mode in planted:
        # A mode is known up to a similarity of the whole face, which alignment takes out.
        assert spans(with_rigid, mode[face].ravel()) > 0.97


def test_components_are_orthogonal_under_the_weights_and_ordered(space, face, topology, regions):
    weights = np.full(len(face), identity.REST_WEIGHT)
    weights[regions.ears] = identity.EAR_WEIGHT
    weights[face] = identity.FACE_WEIGHT
    for eye in EYE_PARTS:
        weights[topology.parts[eye]] = identity.EYE_WEIGHT
    weighted = (space.basis * weights[:, None]).reshape(NUM_MODES, -1)
    gram = weighted @ weighted.T
    sizes = np.diag(gram)
    assert (np.diff(sizes) < 0).all()
    # 1e-3 of the product of their lengths: float32 sums over 17 000 numbers.
    np.testing.assert_allclose(gram / np.sqrt(np.outer(sizes, sizes)), np.identity(NUM_MODES), atol=1e-3)


def test_coefficients_of_the_heads_have_unit_variance(template, planted, face, topology, regions):
    rng = np.random.default_rng(1)
    heads = (template + np.einsum("nk,kvd->nvd", rng.normal(size=(NUM_HEADS, NUM_MODES)), planted)).astype(np.float32)
    space = identity.identity_space([heads], face, topology, regions, NUM_MODES)
    aligned = identity._align(heads, face, topology)[:, face] - space.mean[face]
    basis = space.basis[:, face].reshape(NUM_MODES, -1)
    coefficients = np.linalg.lstsq(basis.T, aligned.reshape(NUM_HEADS, -1).T, rcond=None)[0]
    # On the face alone, not all of what components are computed from; within 3 %.
    np.testing.assert_allclose((coefficients**2).mean(axis=1), 1.0, atol=0.03)


def test_the_means_of_two_populations_are_drawn_together(template, planted, face, topology, regions):
    rng = np.random.default_rng(2)
    heads = template + np.einsum("nk,kvd->nvd", rng.normal(size=(40, NUM_MODES)), planted)
    style = np.zeros_like(template)
    style[:, 2] = 4 * np.cos(template[:, 0] / 8)
    populations = [(heads[:20] + style).astype(np.float32), heads[20:].astype(np.float32)]
    aligned = identity._align(np.concatenate(populations), face, topology)
    before = aligned[:20].mean(axis=0) - aligned[20:].mean(axis=0)
    drawn = identity._draw_means_together(aligned, [20, 20])
    after = drawn[:20].mean(axis=0) - drawn[20:].mean(axis=0)
    # float32 of positions up to 170 mm.
    np.testing.assert_allclose(after, (1 - identity.MEAN_SHARE) * before, atol=1e-3)
    np.testing.assert_array_equal(drawn[20:], aligned[20:])


def test_the_mean_is_a_head_in_millimetres_about_its_eyes(space: identity.IdentitySpace, topology: HeadTopology):
    left, right = (topology.eye_centre(space.mean, eye) for eye in EYE_PARTS)
    # 0.02 mm: float32 of samples that lay up to 300 mm from the origin.
    assert np.linalg.norm(left - right) == pytest.approx(identity.INTER_PUPIL_MM, abs=0.02)
    np.testing.assert_allclose(left + right, 0.0, atol=0.02)


def test_the_mean_of_two_populations_is_still_about_its_eyes(template, planted, face, topology, regions):
    rng = np.random.default_rng(3)
    heads = template + np.einsum("nk,kvd->nvd", rng.normal(size=(40, NUM_MODES)), planted)
    wide = heads[:20].copy()
    for eye, side in zip(EYE_PARTS, (1, -1), strict=True):
        wide[:, topology.parts[eye], 0] += 2.0 * side  # this population's eyes are farther apart
    populations = [heads[20:].astype(np.float32), wide.astype(np.float32)]
    space = identity.identity_space(populations, face, topology, regions, NUM_MODES)
    left, right = (topology.eye_centre(space.mean, eye) for eye in EYE_PARTS)
    assert np.linalg.norm(left - right) == pytest.approx(identity.INTER_PUPIL_MM, abs=0.02)
    np.testing.assert_allclose(left + right, 0.0, atol=0.02)


def test_centring_takes_any_similarity_without_turn_back(template: np.ndarray, topology: HeadTopology):
    moved = 1.9 * template + [5.0, -70.0, 800.0]
    np.testing.assert_allclose(identity.centre_head(moved, topology), template, atol=1e-6)
    batch = identity.centre_head(np.stack([moved, template]), topology)
    np.testing.assert_allclose(batch[0], batch[1], atol=1e-6)


def test_base_millimetres_become_ours_by_the_inter_pupil_distance(template, topology, base: BaseMesh):
    scale = identity.scale_to_millimetres(topology, base)
    size = np.ptp(topology.transfer @ identity._macro_mean(base), axis=0)
    np.testing.assert_allclose(scale * size, np.ptp(template, axis=0))


def test_ict_heads_have_the_modes_as_their_covariance(template, planted, face):
    modes = planted[:, face]
    heads = identity.IctHeads(template[face], modes, face[face], np.zeros((0, 3), dtype=int), 0.0)
    samples = identity.sample_ict_heads(heads, 4000, np.random.default_rng(4)) - template[face]
    coefficients = np.linalg.lstsq(modes.reshape(3, -1).T, samples.reshape(4000, -1).T, rcond=None)[0]
    # Four standard errors of a variance from 4000 samples: 4 √(2 / 4000).
    np.testing.assert_allclose(np.cov(coefficients), np.identity(3) * identity.ICT_WEIGHT_SD**2, atol=0.09)


@pytest.fixture(scope="module")
def makehuman_heads(topology: HeadTopology, base: BaseMesh) -> np.ndarray:
    return identity.sample_makehuman_heads(topology, base, 12, np.random.default_rng(5))


def test_makehuman_heads_are_different_people_of_adult_and_child_size(makehuman_heads, topology):
    left, right = (topology.eye_centre(makehuman_heads, eye) for eye in EYE_PARTS)
    distance = np.linalg.norm(left - right, axis=-1)
    assert (distance > 40).all()
    assert (distance < 90).all()
    centred = identity.centre_head(makehuman_heads, topology)
    spread = np.linalg.norm(centred - centred.mean(axis=0), axis=-1).mean(axis=1)
    assert spread.min() > 0.5  # mm


def test_makehuman_heads_are_almost_symmetric(makehuman_heads, template, topology):
    centred = identity.centre_head(makehuman_heads, topology)
    partner = mirror_vertices(template)
    asymmetry = np.linalg.norm(centred - centred[:, partner] * [-1, 1, 1], axis=-1)
    # ASYMMETRY_SHARE of the details differs between the sides: some, and not much.
    assert 0.05 < np.median(asymmetry) < 2.0


def test_the_same_seed_draws_the_same_heads(makehuman_heads, topology, base):
    again = identity.sample_makehuman_heads(topology, base, 2, np.random.default_rng(5))
    np.testing.assert_array_equal(again, makehuman_heads[:2])


def test_a_ball_that_can_follow_its_lids_leaves_nothing_over():
    angle = np.arange(28) * 2 * np.pi / 28
    arms = 12.5 * np.stack([0.9 * np.cos(angle), 0.4 * np.sin(angle), np.full(28, 0.6)], axis=1)
    shift, growth = np.array([1.0, -0.5, 0.3]), 0.08
    displacements = (shift + growth * arms)[None]
    found_shift, found_growth, left_over = identity._rest_on(displacements, arms)
    np.testing.assert_allclose(found_shift[0], shift, atol=1e-9)
    np.testing.assert_allclose(found_growth[0], growth, atol=1e-9)
    np.testing.assert_allclose(left_over, 0.0, atol=1e-9)


def test_a_ring_is_followed_by_translation_and_growth():
    ring = np.random.default_rng(6).normal(size=(30, 3))
    displacements = np.array([1.0, 2.0, 3.0]) + 0.2 * (ring - ring.mean(axis=0))
    shift, growth = identity._follow(displacements[None], ring)
    np.testing.assert_allclose(shift[0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(growth[0], 0.2)


def test_the_skull_varies_less_the_farther_it_is_from_the_face(template: np.ndarray, face: np.ndarray):
    damping = identity._skull_damping(template, face)
    assert (damping[face] == 1.0).all()
    assert damping.min() == pytest.approx(identity.SKULL_SHARE)
    assert damping.max() == 1.0
