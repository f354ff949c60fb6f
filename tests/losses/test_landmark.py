# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.losses.landmark import (
    INNER_LIP_WEIGHT,
    IRIS_WEIGHT,
    LID_WEIGHT,
    LOWER_POINTS,
    OUTER_LIP_WEIGHT,
    OVAL_WEIGHT,
    SHUT_GAIN,
    SOFT_PX,
    UPPER_POINTS,
    landmark_distance,
    landmark_loss,
    landmark_weights,
    meet_when_shut,
    opened_at_most_as,
    opening_distance,
)
from facefactor.photo import landmarks as names

NUM_POINTS = 6
LEFT_LIDS = {point for edge in names.OPENINGS["left_eye"] for point in edge}


@pytest.fixture
def points() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Projected and detected points and weights of two faces."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.rand(2, NUM_POINTS, size, generator=generator, dtype=torch.float64) for size in (2, 2, 1)]
    return 200 * draw[0], 200 * draw[1], draw[2][..., 0]


@pytest.mark.parametrize(
    ("ids", "weight"),
    [
        (names.LEFT_EYE_UPPER + names.RIGHT_EYE_LOWER, LID_WEIGHT),
        (names.LIPS_INNER_UPPER + names.LIPS_INNER_LOWER, INNER_LIP_WEIGHT),
        (names.LIPS_OUTER_UPPER + names.LIPS_OUTER_LOWER, OUTER_LIP_WEIGHT),
        (names.LEFT_IRIS + names.RIGHT_IRIS, IRIS_WEIGHT),
        (names.FACE_OVAL, OVAL_WEIGHT),
        (names.NOSE_RIDGE + names.LEFT_BROW_UPPER, 1.0),
    ],
    ids=["lids", "inner lips", "outer lips", "irises", "oval", "others"],
)
def test_each_point_weighs_what_its_kind_says(ids, weight):
    weights = landmark_weights()
    assert weights.shape == (478,)
    assert weights[list(ids)].tolist() == [weight] * len(ids)


def test_points_left_and_right_weigh_the_same():
    weights = landmark_weights()
    pairs = (
        (names.LEFT_EYE_UPPER, names.RIGHT_EYE_UPPER),
        (names.LEFT_EYE_LOWER, names.RIGHT_EYE_LOWER),
        (names.LEFT_IRIS, names.RIGHT_IRIS),
    )
    for left, right in pairs:
        assert weights[list(left)].sum() == weights[list(right)].sum()


def test_equal_points_have_no_loss(points):
    projected, _, weights = points
    assert landmark_loss(projected, projected, weights, 224).tolist() == [0.0, 0.0]


def test_all_points_off_by_a_tenth_of_the_crop_cost_a_hundredth(points):
    projected, _, weights = points
    moved = projected + torch.tensor([0.6, 0.8]) * 22.4
    torch.testing.assert_close(landmark_loss(moved, projected, weights, 224), torch.full((2,), 0.01).double())


def test_the_loss_agrees_with_a_loop(points):
    projected, detected, weights = points
    for face in range(2):
        total = sum(
            weights[face, i] * ((projected[face, i] - detected[face, i]) ** 2).sum() / 224**2 for i in range(NUM_POINTS)
        )
        expected = total / weights[face].sum()
        torch.testing.assert_close(landmark_loss(projected, detected, weights, 224)[face], expected)


def test_the_loss_does_not_depend_on_the_resolution(points):
    projected, detected, weights = points
    loss = landmark_loss(projected, detected, weights, 224)
    torch.testing.assert_close(landmark_loss(3 * projected, 3 * detected, weights, 672), loss)
    torch.testing.assert_close(landmark_loss(projected, detected, 5 * weights, 224), loss)


def test_a_point_without_weight_does_not_count(points):
    projected, detected, weights = points
    weights[:, 2] = 0
    spoiled = detected.clone()
    spoiled[:, 2] = 1e6
    torch.testing.assert_close(
        landmark_loss(projected, spoiled, weights, 224), landmark_loss(projected, detected, weights, 224)
    )


def test_a_face_without_any_trusted_point_has_no_loss(points):
    projected, detected, weights = points
    assert landmark_loss(projected, detected, torch.zeros_like(weights), 224).tolist() == [0.0, 0.0]


def test_gradients_are_those_of_the_formula(points):
    projected, detected, weights = (part.clone().requires_grad_() for part in points)
    assert torch.autograd.gradcheck(lambda p, d, w: landmark_loss(p, d, w, 224.0), (projected, detected, weights))


def test_the_distance_is_the_weighted_mean_not_the_squares(points):
    projected, detected, weights = points
    expected = []
    for face in range(2):
        distances = [
            (float((a - b).square().sum()) + SOFT_PX**2) ** 0.5 - SOFT_PX
            for a, b in zip(projected[face], detected[face], strict=True)
        ]
        expected.append(float((weights[face] * torch.tensor(distances)).sum() / weights[face].sum()) / 128)
    assert landmark_distance(projected, detected, weights, 128).tolist() == pytest.approx(expected)


def test_an_exact_answer_has_no_distance_and_a_finite_gradient():
    points = torch.rand(1, 478, 2).requires_grad_()
    visibility = torch.ones(1, 478)
    for distance in (landmark_distance, opening_distance):
        value = distance(points, points.detach().clone(), visibility, 128)
        assert value.item() == 0.0
        (gradient,) = torch.autograd.grad(value.sum(), points)
        assert gradient.isfinite().all()


def test_an_opening_is_the_same_wherever_the_face_is():
    detected = 128 * torch.rand(1, 478, 2, generator=torch.Generator().manual_seed(0))
    visibility = torch.ones(1, 478)
    assert opening_distance(detected + 7.0, detected, visibility, 128).item() == pytest.approx(0.0, abs=1e-6)
    wider = detected.clone()
    wider[:, list(UPPER_POINTS), 1] -= 2.0
    # 2 px, less the 0.2 px where it is soft.
    assert opening_distance(wider, detected, visibility, 128).item() == pytest.approx((4.04**0.5 - 0.2) / 128)
    visibility[:, list(LOWER_POINTS)] = 0.0
    assert opening_distance(wider, detected, visibility, 128).item() == 0.0


def an_eye(opening: float) -> torch.Tensor:
    """Points (1, 478, 2) of a face whose left eye is 20 px wide and opened by a share of that; all others are apart."""
    points = 128 * torch.rand(1, 478, 2, generator=torch.Generator().manual_seed(0))
    upper, lower = names.OPENINGS["left_eye"]
    points[0, list(upper), 0] = torch.linspace(40.0, 60.0, len(upper))
    points[0, list(lower), 0] = torch.linspace(40.0, 60.0, len(lower))
    points[0, list(upper), 1] = points[0, list(lower), 1] = 50.0
    points[0, list(upper[1:-1]), 1] -= 10.0 * opening
    points[0, list(lower[1:-1]), 1] += 10.0 * opening
    return points


@pytest.mark.parametrize(("opening", "kept"), [(0.04, 0.0), (0.07, 0.0), (0.09, 0.5), (0.11, 1.0), (0.3, 1.0)])
def test_lids_of_shut_eyes_meet(opening, kept):
    points = an_eye(opening)
    met = meet_when_shut(points)
    upper, lower = (list(edge[1:-1]) for edge in names.OPENINGS["left_eye"])
    gaps = met[0, lower, 1] - met[0, upper, 1]
    torch.testing.assert_close(gaps, torch.full_like(gaps, 20.0 * opening * kept), atol=1e-3, rtol=0)
    others = sorted(set(range(478)) - set(upper) - set(lower))
    right_eye = {point for edge in names.OPENINGS["right_eye"] for point in edge}
    others = [point for point in others if point not in right_eye]
    assert torch.equal(met[:, others], points[:, others])


@pytest.mark.parametrize(("detected", "other", "wanted"), [(0.2, 0.1, 0.1), (0.2, 0.3, 0.2), (0.2, 0.0, 0.0)])
def test_lids_are_no_farther_apart_than_the_others(detected, other, wanted):
    points = opened_at_most_as(an_eye(detected), 3.0 * an_eye(other))
    torch.testing.assert_close(points[:, list(LEFT_LIDS)], an_eye(wanted)[:, list(LEFT_LIDS)], atol=1e-3, rtol=0)


def test_a_shut_eye_counts_more_than_an_open_one():
    visibility = torch.ones(1, 478)
    upper = list(names.OPENINGS["left_eye"][0][1:-1])
    costs = []
    for opening in (0.0, 0.3):
        wrong = an_eye(opening).clone()
        wrong[:, upper, 1] -= 2.0
        costs.append(opening_distance(wrong, an_eye(opening), visibility, 128).item())
    assert costs[0] == pytest.approx((1 + SHUT_GAIN) * costs[1], rel=1e-4)


def test_it_is_the_same_at_every_size_of_crop():
    visibility = torch.ones(1, 478)
    detected, wrong = an_eye(0.02), an_eye(0.2)
    at_128 = opening_distance(wrong, detected, visibility, 128).item()
    assert opening_distance(4 * wrong, 4 * detected, visibility, 512).item() == pytest.approx(at_128, rel=0.1)
