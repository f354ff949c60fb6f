# SPDX-License-Identifier: Apache-2.0
"""Expressions built over MakeHuman's mean head and a small made-up identity space."""

import numpy as np
import pytest

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.build import expression, identity, makehuman
from facefactor.face.build.expression import BLINKS, LID_OVERLAP_MM, ExpressionSpace, build_expressions
from facefactor.face.build.makehuman import BaseMesh
from facefactor.face.build.mesh import EYE_PARTS, HeadTopology
from facefactor.face.build.regions import Regions, mirror_vertices, open_slit
from facefactor.face.closest import closest_points

NUM_COMPONENTS = 2
SIDES = [
    pytest.param(0, "left_eye", "left_lid_margin", id="left"),
    pytest.param(1, "right_eye", "right_lid_margin", id="right"),
]


@pytest.fixture(scope="module")
def space(template: np.ndarray) -> identity.IdentitySpace:
    """Narrower eyes set deeper, and a wider head; a millimetre or two per standard deviation, eyes move along."""
    x, y, _ = template.T
    zero = np.zeros_like(x)
    deeper = np.stack([zero, 1.5 * np.exp(-((y - 6.0) ** 2) / 60), -np.exp(-(y**2) / 300)], axis=1)
    wider = np.stack([0.02 * x, zero, zero], axis=1)
    return identity.IdentitySpace(template, np.stack([deeper, wider]), 1.0)


@pytest.fixture(scope="module")
def scale(topology: HeadTopology, base: BaseMesh) -> float:
    return identity.scale_to_millimetres(topology, base)


@pytest.fixture(scope="module")
def built(topology, base, regions, space, scale) -> ExpressionSpace:
    return build_expressions(topology, base, regions, space, scale)


def shut(built: ExpressionSpace, space: identity.IdentitySpace, shape: np.ndarray, side: int) -> tuple:
    """Neutral head (V, 3) of an identity and the same with one eye shut."""
    neutral = space.mean + np.einsum("k,kvd->vd", shape, space.basis)
    closed = neutral + built.basis[EXPRESSION_NAMES.index(BLINKS[side])]
    closed[built.blink_vertices] += np.einsum("k,knd->nd", shape, built.blink_basis[side])
    return neutral, closed


def test_the_sizes_are_those_of_the_names_and_the_space(built: ExpressionSpace, template: np.ndarray):
    count = len(built.blink_vertices)
    assert built.basis.shape == (len(EXPRESSION_NAMES), *template.shape)
    assert built.blink_basis.shape == (2, NUM_COMPONENTS, count, 3)
    assert len(np.unique(built.blink_vertices)) == count
    assert 0 < count < len(template) / 2


def test_all_but_the_blinks_are_makehumans_units_in_millimetres(built, topology, base, scale):
    units = makehuman.read_face_units(len(base.vertices))
    for index, name in enumerate(EXPRESSION_NAMES):
        if name not in BLINKS:
            np.testing.assert_allclose(built.basis[index], scale * (topology.transfer @ units[name]), err_msg=name)


@pytest.mark.parametrize(("side", "eye", "margin"), SIDES)
@pytest.mark.parametrize("shape", [(0.0, 0.0), (1.0, 0.0), (-1.0, 1.5)], ids=str)
def test_a_blink_brings_the_upper_lid_down_to_the_lower_one(built, space, regions, side, eye, margin, shape):
    neutral, closed = shut(built, space, np.array(shape), side)
    loop = getattr(regions, margin)
    slit = open_slit(loop, space.mean)
    gap = (closed[slit.upper] - slit.lower_at_upper @ closed[loop])[:, 1]
    before = (neutral[slit.upper] - slit.lower_at_upper @ neutral[loop])[:, 1]
    assert before.max() > 6.0
    # The margin reaches LID_OVERLAP_MM past the lower one, and somewhat farther as the lid is lifted onto the ball.
    assert -2 * LID_OVERLAP_MM < np.median(gap) < -0.8 * LID_OVERLAP_MM
    assert gap.max() < 0.5


@pytest.mark.parametrize(("side", "eye", "margin"), SIDES)
def test_a_shut_lid_lies_on_the_ball_and_not_in_it(built, space, topology, regions, side, eye, margin):
    neutral, closed = shut(built, space, np.zeros(NUM_COMPONENTS), side)
    centre = topology.eye_centre(neutral, eye)
    radius = np.linalg.norm(neutral[topology.parts[eye]] - centre, axis=1).mean()
    moved = np.linalg.norm(closed - neutral, axis=1)
    lid = np.setdiff1d(regions.outer_skin[moved[regions.outer_skin] > 0.6 * moved.max()], getattr(regions, margin))
    height = np.linalg.norm(closed[lid] - centre, axis=1) - radius
    assert len(lid) > 10
    assert height.min() > 0.0
    assert height.max() < 4.0  # mm: a lid, no bulge


@pytest.mark.parametrize(("side", "eye", "margin"), SIDES)
def test_a_blink_turns_no_eyeball_and_leaves_the_other_eye_alone(built, space, topology, regions, side, eye, margin):
    basis = built.basis[EXPRESSION_NAMES.index(BLINKS[side])]
    for part in EYE_PARTS:
        assert np.abs(basis[topology.parts[part]]).max() < 1e-9
    other = regions.right_lid_margin if eye == "left_eye" else regions.left_lid_margin
    assert np.abs(basis[other]).max() < 0.05  # mm


def test_the_two_blinks_mirror_each_other(built: ExpressionSpace, template: np.ndarray, regions: Regions):
    partner = mirror_vertices(template)
    left, right = (built.basis[EXPRESSION_NAMES.index(name)] for name in BLINKS)
    difference = np.linalg.norm(right[partner] * [-1, 1, 1] - left, axis=1)[regions.outer_skin]
    # 0.3 mm: the loops are walked from different ends, so lids are paired a little differently.
    assert difference.max() < 0.3


def test_the_linearised_blink_is_close_to_the_constructed_one(built, space, topology, regions, base, scale):
    unit = scale * (topology.transfer @ makehuman.read_face_units(len(base.vertices))[BLINKS[0]])
    lid = expression._Lid.of(unit, space.mean, regions.left_lid_margin, "left_eye", topology, regions)
    for shape in (np.array([1.0, 0.0]), np.array([0.0, -1.5])):
        neutral, closed = shut(built, space, shape, 0)
        error = np.linalg.norm(closed - neutral - lid.close(neutral), axis=1)
        # Of a lid that moves by 14 mm.
        assert error[regions.outer_skin].max() < 0.6


def test_where_identity_changes_nothing_no_blink_basis_is_kept(built: ExpressionSpace, template: np.ndarray):
    """The kept vertices are near one of the eyes: their lids, sockets and what moves with them."""
    strongest = np.abs(built.blink_basis).max(axis=(0, 1, 3))
    near = closest_points(template[built.blink_vertices], template, np.arange(len(template))[:, None].repeat(3, 1))
    assert strongest.min() > 1e-3
    assert near.distances.max() == 0.0
