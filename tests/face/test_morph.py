# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.linear_bases import BLINK_INDICES, bound_mouth_close
from facefactor.face.model import ALBEDO_RANGE, FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.photo import landmarks as names
from facefactor.render.rasterise import rasterise

NUM_IDENTITIES = 20
BROW_INNER_LEFT, BROW_INNER_RIGHT, BROW_OUTER_LEFT, BROW_OUTER_RIGHT = 336, 107, 293, 63
MOUTH_LEFT, MOUTH_RIGHT, UPPER_LIP, LOWER_LIP, NOSE_TIP = 291, 61, 13, 14, 4
UPPER_LIP_LEFT, UPPER_LIP_RIGHT, LOWER_LIP_LEFT, LOWER_LIP_RIGHT = 311, 81, 402, 178
CHEEK_LEFT, CHEEK_RIGHT, NOSE_WING_LEFT, NOSE_WING_RIGHT = 425, 205, 358, 129
LID_UPPER_LEFT, LID_UPPER_RIGHT, LID_LOWER_LEFT, LID_LOWER_RIGHT = 386, 159, 374, 145
LEFT, UP, OUT = np.identity(3)
"""Axes of the head frame: x to the subject's left, y up, z out of the face."""

MOVES = [
    ("eyeLookDownLeft", names.LEFT_PUPIL, -UP, 2.0),
    ("eyeLookDownRight", names.RIGHT_PUPIL, -UP, 2.0),
    ("eyeLookInLeft", names.LEFT_PUPIL, -LEFT, 3.0),
    ("eyeLookInRight", names.RIGHT_PUPIL, LEFT, 3.0),
    ("eyeLookOutLeft", names.LEFT_PUPIL, LEFT, 3.0),
    ("eyeLookOutRight", names.RIGHT_PUPIL, -LEFT, 3.0),
    ("eyeLookUpLeft", names.LEFT_PUPIL, UP, 2.0),
    ("eyeLookUpRight", names.RIGHT_PUPIL, UP, 2.0),
    ("eyeBlinkLeft", LID_UPPER_LEFT, -UP, 5.0),
    ("eyeBlinkRight", LID_UPPER_RIGHT, -UP, 5.0),
    ("eyeSquintLeft", LID_LOWER_LEFT, UP, 1.0),
    ("eyeSquintRight", LID_LOWER_RIGHT, UP, 1.0),
    ("eyeWideLeft", LID_UPPER_LEFT, UP, 1.0),
    ("eyeWideRight", LID_UPPER_RIGHT, UP, 1.0),
    ("jawForward", names.CHIN, OUT, 3.0),
    ("jawLeft", names.CHIN, LEFT, 3.0),
    ("jawRight", names.CHIN, -LEFT, 3.0),
    ("jawOpen", names.CHIN, -UP, 20.0),
    ("jawOpen", LOWER_LIP, -UP, 25.0),
    ("mouthFunnel", UPPER_LIP, OUT, 3.0),
    ("mouthFunnel", LOWER_LIP, OUT, 3.0),
    ("mouthPucker", UPPER_LIP, OUT, 3.0),
    ("mouthPucker", MOUTH_LEFT, -LEFT, 2.0),
    ("mouthPucker", MOUTH_RIGHT, LEFT, 2.0),
    ("mouthLeft", UPPER_LIP, LEFT, 3.0),
    ("mouthRight", UPPER_LIP, -LEFT, 3.0),
    ("mouthSmileLeft", MOUTH_LEFT, UP, 4.0),
    ("mouthSmileLeft", MOUTH_LEFT, LEFT, 3.0),
    ("mouthSmileRight", MOUTH_RIGHT, UP, 4.0),
    ("mouthSmileRight", MOUTH_RIGHT, -LEFT, 3.0),
    ("mouthFrownLeft", MOUTH_LEFT, -UP, 2.0),
    ("mouthFrownRight", MOUTH_RIGHT, -UP, 2.0),
    ("mouthDimpleLeft", MOUTH_LEFT, LEFT, 1.0),
    ("mouthDimpleLeft", MOUTH_LEFT, -OUT, 1.0),
    ("mouthDimpleRight", MOUTH_RIGHT, -LEFT, 1.0),
    ("mouthDimpleRight", MOUTH_RIGHT, -OUT, 1.0),
    ("mouthStretchLeft", MOUTH_LEFT, LEFT, 2.0),
    ("mouthStretchRight", MOUTH_RIGHT, -LEFT, 2.0),
    ("mouthRollLower", LOWER_LIP, -OUT, 1.0),
    ("mouthRollUpper", UPPER_LIP, -OUT, 1.0),
    ("mouthShrugLower", LOWER_LIP, UP, 1.0),
    ("mouthShrugUpper", UPPER_LIP, UP, 1.0),
    ("mouthPressLeft", MOUTH_LEFT, LEFT, 1.0),
    ("mouthPressRight", MOUTH_RIGHT, -LEFT, 1.0),
    ("mouthLowerDownLeft", LOWER_LIP_LEFT, -UP, 2.0),
    ("mouthLowerDownRight", LOWER_LIP_RIGHT, -UP, 2.0),
    ("mouthUpperUpLeft", UPPER_LIP_LEFT, UP, 2.0),
    ("mouthUpperUpRight", UPPER_LIP_RIGHT, UP, 2.0),
    ("browDownLeft", BROW_INNER_LEFT, -UP, 2.0),
    ("browDownRight", BROW_INNER_RIGHT, -UP, 2.0),
    ("browInnerUp", BROW_INNER_LEFT, UP, 2.0),
    ("browInnerUp", BROW_INNER_RIGHT, UP, 2.0),
    ("browOuterUpLeft", BROW_OUTER_LEFT, UP, 2.0),
    ("browOuterUpRight", BROW_OUTER_RIGHT, UP, 2.0),
    ("cheekPuff", CHEEK_LEFT, OUT, 2.0),
    ("cheekPuff", CHEEK_RIGHT, OUT, 2.0),
    ("cheekPuff", CHEEK_LEFT, LEFT, 0.5),
    ("cheekPuff", CHEEK_RIGHT, -LEFT, 0.5),
    ("cheekSquintLeft", CHEEK_LEFT, UP, 2.0),
    ("cheekSquintRight", CHEEK_RIGHT, UP, 2.0),
    ("noseSneerLeft", NOSE_WING_LEFT, UP, 1.0),
    ("noseSneerRight", NOSE_WING_RIGHT, UP, 1.0),
]
"""What each expression must do to a landmark: (expression, landmark, direction, least millimetres)."""


def weights_of(*expression_names: str, batch: int = 1) -> Tensor:
    """(batch, 52) with the named expressions at weight 1."""
    expression = torch.zeros(batch, len(EXPRESSION_NAMES))
    expression[:, [EXPRESSION_NAMES.index(name) for name in expression_names]] = 1.0
    return expression


@pytest.fixture(scope="module")
def tiny(tiny_model: FaceModel) -> MorphableFace:
    return MorphableFace(tiny_model).double()


@pytest.fixture(scope="module")
def face(shipped_model: FaceModel) -> MorphableFace:
    return MorphableFace(shipped_model)


@pytest.fixture(scope="module")
def mark(shipped_model: FaceModel) -> Callable[[Tensor], np.ndarray]:
    """Reads (batch, 478, 3) landmarks off vertices."""
    corners, weights = shipped_model.landmarks478_vertices, shipped_model.landmarks478_weights
    return lambda vertices: np.einsum("blkc,lk->blc", vertices.numpy()[:, corners], weights)


@pytest.fixture(scope="module")
def identities() -> Tensor:
    """(21, 80): the mean and random people."""
    drawn = torch.randn(NUM_IDENTITIES, 80, generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.zeros(1, 80), drawn])


def random_code(*sizes: int, seed: int = 0) -> list[Tensor]:
    """One (2, size) tensor in float64 for each size: normal, or uniform in [0, 1] for the 52 expressions."""
    generator = torch.Generator().manual_seed(seed)
    draw = {52: torch.rand}
    return [draw.get(size, torch.randn)(2, size, generator=generator, dtype=torch.float64) for size in sizes]


def vertices_by_loop(model: FaceModel, shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """The formula of the module, one number at a time."""
    placed = model.mean.astype(float)
    for k, coefficient in enumerate(shape):
        placed = placed + coefficient * model.shape_basis[k]
    jaw_open, mouth_close = EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("mouthClose")
    weights = expression.copy()
    weights[mouth_close] = min(expression[mouth_close], expression[jaw_open])
    for j, weight in enumerate(weights):
        placed = placed + weight * model.expression_basis[j]
    for side, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        for k, coefficient in enumerate(shape):
            for place, vertex in enumerate(model.blink_vertices):
                blink = model.blink_basis[side, k, place]
                placed[vertex] += expression[EXPRESSION_NAMES.index(name)] * coefficient * blink
    return placed


def test_the_zero_code_is_the_mean(tiny: MorphableFace, tiny_model: FaceModel):
    zero = torch.zeros(1, 4, dtype=torch.float64), torch.zeros(1, 52, dtype=torch.float64)
    np.testing.assert_array_equal(tiny.vertices(*zero)[0], tiny_model.mean)
    np.testing.assert_array_equal(tiny.neutral(zero[0])[0], tiny_model.mean)
    albedo = tiny.albedo(torch.zeros(1, 3, dtype=torch.float64))[0]
    np.testing.assert_allclose(albedo, np.exp(tiny_model.log_albedo_mean.astype(float)), rtol=1e-12)


def test_vertices_agree_with_a_loop_over_the_formula(tiny: MorphableFace, tiny_model: FaceModel):
    shape, expression = random_code(4, 52)
    placed = tiny.vertices(shape, expression)
    for i in range(2):
        expected = vertices_by_loop(tiny_model, shape[i].numpy(), expression[i].numpy())
        np.testing.assert_allclose(placed[i], expected, atol=1e-12)


def test_shape_and_expression_without_blinks_add_up(tiny: MorphableFace):
    shape, expression = random_code(4, 52)
    expression[:, list(BLINK_INDICES)] = 0
    zero = torch.zeros_like(expression)
    mean = tiny.vertices(torch.zeros_like(shape), zero)
    by_shape = tiny.vertices(shape, zero) - mean
    by_expression = tiny.vertices(torch.zeros_like(shape), expression) - mean
    torch.testing.assert_close(tiny.vertices(shape, expression), mean + by_shape + by_expression)
    torch.testing.assert_close(tiny.vertices(-2.5 * shape, zero) - mean, -2.5 * by_shape)
    torch.testing.assert_close(tiny.vertices(torch.zeros_like(shape), 0.25 * expression) - mean, 0.25 * by_expression)


def test_blinks_grow_with_weight_and_identity(tiny: MorphableFace, tiny_model: FaceModel):
    shape, _ = random_code(4, 52)
    expression = torch.zeros(2, 52, dtype=torch.float64)
    expression[:, BLINK_INDICES[0]] = 0.5
    moved = tiny.vertices(shape, expression) - tiny.neutral(shape)
    own = 0.5 * torch.einsum("bk,knc->bnc", shape, tiny.blink_basis[0])
    plain = 0.5 * tiny.expression_basis[BLINK_INDICES[0]]
    rest = np.setdiff1d(np.arange(8), tiny_model.blink_vertices)
    torch.testing.assert_close(moved[:, tiny.blink_vertices], plain[tiny.blink_vertices] + own)
    torch.testing.assert_close(moved[:, rest], plain[rest].expand(2, -1, -1))


def test_expressions_of_an_identity_are_what_each_adds_at_weight_one(tiny: MorphableFace):
    (shape, _) = random_code(4, 52)
    expression = torch.eye(52, dtype=torch.float64)
    expression[EXPRESSION_NAMES.index("mouthClose"), EXPRESSION_NAMES.index("jawOpen")] = 1  # it needs an open jaw
    added = tiny.expressions(shape[0])
    moved = tiny.vertices(shape[:1].expand(52, -1), expression) - tiny.neutral(shape[:1])
    torch.testing.assert_close(moved, torch.einsum("ij,jvc->ivc", expression, added))


def test_batches_are_independent(tiny: MorphableFace):
    shape, expression, reflectance = random_code(4, 52, 3)
    for one in range(2):
        part = slice(one, one + 1)
        torch.testing.assert_close(tiny.vertices(shape, expression)[part], tiny.vertices(shape[part], expression[part]))
        torch.testing.assert_close(tiny.albedo(reflectance)[part], tiny.albedo(reflectance[part]))


def test_mouth_close_never_exceeds_jaw_open():
    expression = weights_of("mouthClose", batch=3)
    jaw_open, mouth_close = EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("mouthClose")
    expression[:, jaw_open] = torch.tensor([0.0, 0.4, 1.0])
    bounded = bound_mouth_close(expression)
    assert bounded[:, mouth_close].tolist() == pytest.approx([0.0, 0.4, 1.0])
    assert expression[:, mouth_close].tolist() == [1.0, 1.0, 1.0]  # the caller's weights are not touched
    others = [i for i in range(52) if i != mouth_close]
    assert torch.equal(bounded[:, others], expression[:, others])


def test_gradients_are_those_of_the_formulas(tiny: MorphableFace):
    shape, expression, reflectance = (part.requires_grad_() for part in random_code(4, 52, 3))
    assert torch.autograd.gradcheck(tiny.vertices, (shape, expression))
    assert torch.autograd.gradcheck(tiny.albedo, (reflectance,))
    assert torch.autograd.gradcheck(tiny.subdivide, (tiny.neutral(shape).detach().requires_grad_(),))


def test_gradients_of_a_colour_held_at_the_highest_albedo_are_right(tiny: MorphableFace):
    reflectance = (8 * random_code(3)[0]).requires_grad_()
    assert (tiny.albedo(reflectance) >= ALBEDO_RANGE[1] * (1 - 1e-9)).any()
    assert torch.autograd.gradcheck(tiny.albedo, (reflectance,))


def test_albedo_stays_in_range_for_any_code(tiny: MorphableFace):
    low, high = ALBEDO_RANGE
    for size in (1.0, 5.0, 50.0):
        albedo = tiny.albedo(size * random_code(3)[0])
        assert albedo.min() >= low
        assert albedo.max() <= high * (1 + 1e-12)


def test_an_albedo_too_light_is_scaled_and_keeps_its_hue(tiny: MorphableFace):
    reflectance = 4 * random_code(3)[0]
    free = (tiny.log_albedo_mean + torch.einsum("bk,kvc->bvc", reflectance, tiny.reflectance_basis)).exp()
    albedo = tiny.albedo(reflectance)
    is_scaled = (free.amax(dim=-1) > ALBEDO_RANGE[1]) & (albedo.amin(dim=-1) > ALBEDO_RANGE[0])
    assert is_scaled.any()
    hue, free_hue = (values / values.sum(dim=-1, keepdim=True) for values in (albedo, free))
    torch.testing.assert_close(hue[is_scaled], free_hue[is_scaled])
    torch.testing.assert_close(albedo.amax(dim=-1)[is_scaled], torch.full_like(albedo[..., 0][is_scaled], 0.95))
    inside = (free.amax(dim=-1) < ALBEDO_RANGE[1]) & (free.amin(dim=-1) > ALBEDO_RANGE[0])
    torch.testing.assert_close(albedo[inside], free[inside])


def test_native_albedo_is_the_first_part_of_the_full_one(tiny: MorphableFace, tiny_model: FaceModel):
    (reflectance,) = random_code(3)
    native = MorphableFace(tiny_model, native_albedo=True).double()
    torch.testing.assert_close(native.albedo(reflectance), tiny.albedo(reflectance)[:, :8])


def test_subdividing_is_the_product_with_the_matrix(tiny: MorphableFace, tiny_model: FaceModel):
    values = torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    finer = tiny.subdivide(values)
    for one in range(3):
        np.testing.assert_allclose(finer[one], tiny_model.subdivision.astype(float) @ values[one].numpy(), atol=1e-12)


def test_nothing_is_saved_with_a_network_that_holds_a_face(tiny: MorphableFace):
    assert tiny.state_dict() == {}


@pytest.mark.parametrize(("name", "landmark", "direction", "least_mm"), MOVES, ids=[f"{m[0]}-{m[1]}" for m in MOVES])
def test_each_expression_moves_what_its_name_says(face, mark, name, landmark, direction, least_mm):
    zero = torch.zeros(1, 80)
    moved = (mark(face.vertices(zero, weights_of(name))) - mark(face.neutral(zero)))[0, landmark]
    assert moved @ direction > least_mm


def test_every_expression_is_among_the_moves_or_has_a_test_of_its_own():
    assert set(EXPRESSION_NAMES) - {move[0] for move in MOVES} == {"mouthClose", "tongueOut"}


def test_the_tongue_comes_out(face: MorphableFace, shipped_model: FaceModel):
    zero = torch.zeros(1, 80)
    moved = face.vertices(zero, weights_of("tongueOut")) - face.neutral(zero)
    tip = shipped_model.regions["tongue"][shipped_model.mean[shipped_model.regions["tongue"], 2].argmax()]
    assert moved[0, tip] @ torch.from_numpy(OUT).float() > 10.0
    skin = moved[0, shipped_model.regions["face"]]
    assert skin.norm(dim=-1).max() < moved[0, tip].norm()


def test_mouth_close_shuts_the_lips_over_an_open_jaw(face: MorphableFace, mark):
    zero = torch.zeros(3, 80)
    expression = torch.cat([weights_of(), weights_of("jawOpen"), weights_of("jawOpen", "mouthClose")])
    marks = mark(face.vertices(zero, expression))
    opening = marks[:, UPPER_LIP, 1] - marks[:, LOWER_LIP, 1]
    chin = marks[:, names.CHIN, 1]
    assert opening[1] > 25.0
    assert opening[2] < opening[0] + 0.15 * (opening[1] - opening[0])  # most of the way back
    assert chin[2] < chin[0] - 15.0  # and the jaw stays down


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_left_expressions_leave_the_right_half_alone_and_the_other_way_round(face, shipped_model, side):
    seen = np.concatenate([shipped_model.regions["outer_skin"], shipped_model.regions["eyes"]])
    x = shipped_model.mean[seen, 0] * (1 if side == "Left" else -1)
    whole_face = ("jaw" + side, "mouth" + side)
    names_of_side = [name for name in EXPRESSION_NAMES if name.endswith(side) and name not in whole_face]
    moved = face.expressions(torch.zeros(80))[[EXPRESSION_NAMES.index(name) for name in names_of_side]]
    travel = moved.norm(dim=-1)[:, seen]
    assert len(names_of_side) == 18
    # From the mouth's corner outwards the other side rests, but for the skin's pull; 1 mm.
    assert travel[:, x < -25.0].max() < 1.0
    assert travel[:, x > 0].amax(dim=1).min() > 2.0


def test_left_and_right_expressions_mirror_each_other(face: MorphableFace, shipped_model: FaceModel):
    mirror = cKDTree(shipped_model.mean).query(shipped_model.mean * [-1, 1, 1])[1]
    skin = shipped_model.regions["outer_skin"]
    added = face.expressions(torch.zeros(80)).numpy()
    for name in (name for name in EXPRESSION_NAMES if name.endswith("Left")):
        left = added[EXPRESSION_NAMES.index(name)]
        right = added[EXPRESSION_NAMES.index(name.replace("Left", "Right"))]
        difference = np.linalg.norm((right[mirror] * [-1, 1, 1] - left)[skin], axis=1).max()
        # MakeHuman's artists drew each side by hand: the smiles differ by 7 % of their travel, the others hardly.
        assert difference < 0.3 + 0.08 * np.linalg.norm(left, axis=1).max(), name


def lid_gap_mm(marks: np.ndarray, upper: tuple[int, ...], lower: tuple[int, ...]) -> np.ndarray:
    """(batch,) widest opening between the lids: height of upper lid points over the line of the lower lid.

    The points beside the corners are left out: there the detector marks the caruncle rather than a lid's margin.
    """
    gaps = []
    for points in marks:
        line = points[list(lower)][points[list(lower), 0].argsort()]
        lid = points[list(upper[2:-2])]
        gaps.append((lid[:, 1] - np.interp(lid[:, 0], line[:, 0], line[:, 1])).max())
    return np.array(gaps)


def eyeball_pixels(vertices: Tensor, model: FaceModel, eye: str) -> np.ndarray:
    """(batch,) pixels of 0.25 mm in which an eyeball is seen from the front."""
    centre = vertices[:, model.regions[eye]].mean(dim=1, keepdim=True)
    size, pixels_per_mm = 200, 4.0
    seen = (vertices - centre).numpy()
    positions = size / 2 + pixels_per_mm * seen[..., :2] * [1, -1]
    ids, _ = rasterise(positions, 1000.0 - seen[..., 2], model.triangles, size, size)
    on_ball = np.isin(model.triangles, model.regions[eye]).all(axis=1)
    return ((ids >= 0) & on_ball[ids]).sum(axis=(1, 2))


@pytest.mark.parametrize(
    ("name", "eye", "upper", "lower"),
    [
        ("eyeBlinkLeft", "left_eye", names.LEFT_EYE_UPPER, names.LEFT_EYE_LOWER),
        ("eyeBlinkRight", "right_eye", names.RIGHT_EYE_UPPER, names.RIGHT_EYE_LOWER),
    ],
)
def test_a_blink_shuts_the_eye_of_everybody(face, mark, shipped_model, identities, name, eye, upper, lower):
    shut = face.vertices(identities, weights_of(name, batch=len(identities)))
    neutral = face.neutral(identities)
    assert lid_gap_mm(mark(neutral), upper, lower).min() > 4.0
    # Half a millimetre, less than a lid is thick, measured where the lids' landmarks are.
    assert lid_gap_mm(mark(shut), upper, lower).max() < 0.5
    # From the front the ball is not seen, but for a rare draw's sliver; 16 pixels of 0.25 mm are a square millimetre.
    open_pixels, shut_pixels = (eyeball_pixels(vertices, shipped_model, eye) for vertices in (neutral, shut))
    assert (open_pixels > 1600).all()
    assert (shut_pixels <= 16).mean() >= 0.95
    assert (shut_pixels < 0.08 * open_pixels).all()


@pytest.mark.parametrize(
    ("name", "other_eye", "other_lids"),
    [
        ("eyeBlinkLeft", "right_eye", "right_lid_margin"),
        ("eyeBlinkRight", "left_eye", "left_lid_margin"),
    ],
)
def test_a_blink_leaves_the_other_eye_alone(face, shipped_model, identities, name, other_eye, other_lids):
    moved = face.vertices(identities, weights_of(name, batch=len(identities))) - face.neutral(identities)
    for region in (other_eye, other_lids):
        assert moved[:, shipped_model.regions[region]].abs().max() < 0.05  # mm


def test_looking_turns_the_eyeball_about_its_centre(face: MorphableFace, shipped_model: FaceModel):
    ball = shipped_model.mean[shipped_model.regions["left_eye"]]
    for name in ("eyeLookUpLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft"):
        moved = face.vertices(torch.zeros(1, 80), weights_of(name))[0, shipped_model.regions["left_eye"]].numpy()
        u, stretch, vt = np.linalg.svd(np.linalg.lstsq(_homogeneous(ball), moved, rcond=None)[0][:3])
        angle_deg = math.degrees(math.acos((np.trace(u @ vt) - 1) / 2))
        assert 10.0 < angle_deg < 45.0, name
        # A blendshape moves along a chord: at weight 1 the ball is a ball again, to a few percent.
        np.testing.assert_allclose(stretch, 1.0, atol=0.08, err_msg=name)


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)
