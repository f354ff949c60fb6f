# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from facefactor.losses.prior import DISTANCE_SPREAD_MM, distance_prior, expression_prior, gaussian_prior


def test_the_mean_face_is_the_likeliest():
    assert gaussian_prior(torch.zeros(2, 80)).tolist() == [0.0, 0.0]
    assert expression_prior(torch.zeros(2, 52)).tolist() == [0.0, 0.0]


def test_the_gaussian_prior_is_the_normal_densitys_logarithm():
    coefficients = torch.randn(3, 80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_density = torch.distributions.Normal(0.0, 1.0).log_prob(coefficients).sum(dim=1)
    torch.testing.assert_close(gaussian_prior(coefficients), -log_density - 40 * math.log(2 * math.pi))


def test_the_expression_prior_follows_its_formula():
    expression = torch.tensor([[0.2, 0.0, 1.0]])
    assert expression_prior(expression).tolist() == pytest.approx([0.5 * (0.04 + 1) + 0.25 * 1.2])


def test_a_weight_of_little_evidence_goes_to_exactly_zero():
    # (w - e)² pulls a weight to e; the prior's slope at zero, 1/4, holds it at zero as long as e < 1/8.
    for evidence, expected_zero in ((0.12, True), (0.13, False)):
        weight = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
        ((weight - evidence).square().sum() + expression_prior(weight).sum()).backward()
        assert (float(weight.grad) >= 0) == expected_zero


def test_gradients_are_those_of_the_formulas():
    code = torch.rand(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gaussian_prior, (code,))
    assert torch.autograd.gradcheck(expression_prior, (code,))


def test_a_head_is_likeliest_at_the_nominal_distance():
    translation = torch.tensor([[9.0, -4.0, -1000.0], [0.0, 0.0, -1000.0 - DISTANCE_SPREAD_MM]])
    assert distance_prior(translation).tolist() == pytest.approx([0.0, 0.5])
