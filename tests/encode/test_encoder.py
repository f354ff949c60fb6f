# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.encoder import Encoder, clamp_with_gradient


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder()


def random_crops(count: int) -> torch.Tensor:
    return torch.rand(count, 3, ENCODER_CROP_PX, ENCODER_CROP_PX, generator=torch.Generator().manual_seed(1))


def test_the_untrained_network_answers_the_mean_face_in_ordinary_light(encoder: Encoder):
    code = encoder.eval()(random_crops(2))
    assert torch.equal(code.pack(), FaceCode.neutral((2,)).to_torch().pack())


def test_the_packed_answer_is_the_code_laid_end_to_end(encoder: Encoder):
    for head in encoder.heads.values():
        torch.nn.init.normal_(head.weight, std=0.05)
    crops = random_crops(2)
    with torch.no_grad():
        assert torch.equal(encoder.eval().encode_packed(crops), encoder(crops).pack())


def test_raw_answers_come_out_in_the_codes_units(encoder: Encoder):
    for head in encoder.heads.values():
        torch.nn.init.constant_(head.bias, 0.5)
    code, neutral = encoder.eval()(random_crops(1)), FaceCode.neutral((1,)).to_torch()
    assert code.shape.unique().tolist() == [0.5]
    assert code.expression.unique().tolist() == [0.5]
    assert code.translation.tolist() == [[15.0, 15.0, -950.0]]
    torch.testing.assert_close(code.illumination - neutral.illumination, torch.full((1, 9, 3), 0.5))


def test_a_few_steps_learn_four_crops(encoder: Encoder):
    crops = random_crops(4)
    wanted = torch.linspace(0.0, 1.0, 4)[:, None].expand(4, 52)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    errors = []
    for _ in range(12):
        error = (encoder(crops).expression - wanted).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert min(errors) < 0.25 * errors[0]


def test_the_clamp_is_a_clamp():
    raw = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.5], requires_grad=True)
    assert clamp_with_gradient(raw).tolist() == raw.clamp(0, 1).tolist()
    with torch.no_grad():
        assert clamp_with_gradient(raw).tolist() == raw.clamp(0, 1).tolist()


@pytest.mark.parametrize(("wanted", "moves"), [(0.4, [True, True, True]), (-1.0, [False, True, True])])
def test_a_weight_outside_is_only_brought_back(wanted: float, moves: list[bool]):
    raw = torch.tensor([-0.5, 0.3, 1.5], requires_grad=True)
    (clamp_with_gradient(raw) - wanted).square().sum().backward()
    assert (raw.grad != 0).tolist() == moves


def test_inside_the_clamp_the_gradient_is_exact():
    raw = torch.rand(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(clamp_with_gradient, (raw,))
