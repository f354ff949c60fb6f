# SPDX-License-Identifier: Apache-2.0
"""The second look, at pictures of the face model itself, of which everything is known."""

import numpy as np
import pytest
import torch

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.encoder import FIRST_OFFSET, Encoder
from facefactor.encode.second_look import NUM_LOOKED_AT, SecondLook, spread_places
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.face.normals import vertex_normals
from facefactor.light.spherical_harmonics import directional_light
from facefactor.render.picture import View


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def look(model) -> SecondLook:
    return SecondLook(model, 3, 5)


def a_face(yaw: float = 0.0) -> FaceCode[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    code = FaceCode.neutral((1,)).to_torch()
    code = code.with_shape(torch.randn(1, 80, generator=generator)).with_reflectance(
        torch.randn(1, 80, generator=generator)
    )
    lamp = directional_light(torch.tensor([[0.4, 0.5, 0.8]]), torch.tensor([[0.5, 0.45, 0.4]]))
    code = code.with_light(0.5 * code.illumination + lamp)
    packed = code.pack()
    packed[:, 80 + 52 + 80 + 1] = yaw
    return FaceCode.unpack(packed)


def picture_of(model: FaceModel, code: FaceCode[torch.Tensor], painted: np.ndarray | None = None) -> torch.Tensor:
    """A crop (1, 3, size, size) of a face whose albedo is multiplied at the native vertices."""
    face = MorphableFace(model, native_albedo=True)
    placed = move_to_camera(
        face.vertices(code.shape, code.expression), matrix_from_axis_angle(code.rotation), code.translation
    )
    albedo = face.albedo(code.reflectance)[0].numpy() * (1.0 if painted is None else painted[:, None])
    K = crop_intrinsics(ENCODER_CROP_PX).astype(np.float32)
    view = View(placed[0].numpy(), K, model.triangles, ENCODER_CROP_PX, ENCODER_CROP_PX, supersample=3)
    picture = view.picture(albedo, code.illumination[0].numpy())
    return torch.from_numpy(np.asarray(picture, dtype=np.float32)).movedim(-1, 0)[None]


def beard(model: FaceModel) -> np.ndarray:
    """Half the albedo on the chin of both sides."""
    return np.where(model.mean[:, 1] < -70, 0.5, 1.0)


def test_a_face_that_is_explained_leaves_nothing(model, look):
    code = a_face()
    residual = look.residuals(picture_of(model, code), code.pack())
    assert residual.shape[1] == 3
    assert residual.abs().mean() < 0.035
    painted = look.residuals(picture_of(model, code, beard(model)), code.pack())
    assert painted.abs().mean() > 3 * residual.abs().mean()


def test_what_is_missing_is_found_where_it_is(model, look):
    code, heights = a_face(), torch.from_numpy(model.mean[spread_places(model), 1])
    residual = look.residuals(picture_of(model, code, beard(model)), code.pack())[0].mean(dim=0)
    assert residual[heights < -75].mean() < residual[heights > -60].mean() - 0.15


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_wrong_light_is_not_taken_for_albedo(model, look, factor):
    code = a_face()
    crop = picture_of(model, code)
    stronger = code.with_light(factor * code.illumination)
    assert look.residuals(crop, stronger.pack()).abs().mean() < 0.05
    # The residual's own mean would be the logarithm of the factor.
    assert abs(np.log(factor)) > 0.3


def test_a_hidden_side_takes_what_its_mirror_image_shows(model, look):
    code, places = a_face(yaw=0.9), model.mean[spread_places(model)]
    residual = look.residuals(picture_of(model, code, beard(model)), code.pack())[0].mean(dim=0)
    hidden_chin = (places[:, 0] < -30) & (places[:, 1] < -78)
    hidden_chin |= (places[:, 0] > 30) & (places[:, 1] < -78)
    sides = [residual[torch.from_numpy(hidden_chin & (sign * places[:, 0] > 0))].mean() for sign in (-1, 1)]
    assert max(sides) < -0.1


def test_no_gradient_passes_to_the_base_level(model, look):
    packed = a_face().pack().requires_grad_()
    answer = look(picture_of(model, a_face()), packed)
    assert answer.shape == (1, 8)
    assert not answer.requires_grad or torch.autograd.grad(answer.sum(), packed, allow_unused=True)[0] is None


def test_the_places_are_even_and_alike_on_both_sides(model):
    places = spread_places(model)
    assert 0.9 * NUM_LOOKED_AT < len(places) <= NUM_LOOKED_AT
    assert set(places) <= set(model.regions["face"].tolist())
    points = model.mean[places]
    gaps = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 1]
    assert gaps.max() < 3 * np.median(gaps)
    mirrored = points * (-1, 1, 1)
    assert np.linalg.norm(points[:, None] - mirrored[None], axis=2).min(axis=1).max() < 1.0


def test_normals_are_nearly_those_of_the_mesh(model):
    """Places whose ring is the four: what light makes of a face without texture is what the look takes off."""
    look = SecondLook(model, 1, 1, np.asarray(model.regions["face"]))
    _, upward, across = look.points.mean.unflatten(0, (3, -1, 3))
    found = torch.nn.functional.normalize(torch.linalg.cross(upward, across), dim=-1)
    exact = vertex_normals(model.mean[None], model.triangles)[0, model.regions["face"]]
    cosines = (found.numpy() * exact).sum(axis=1)
    assert np.median(cosines) > 0.998
    assert np.quantile(cosines, 0.05) > 0.95


def test_rectified_corrections_start_about_as_linear_ones():
    torch.manual_seed(0)
    encoder = Encoder(4, 6, rectified=True).eval()
    for name in ("geometry_corrective", "reflectance_corrective"):
        torch.nn.init.normal_(encoder.heads[name].bias)
    code = encoder(torch.rand(2, 3, ENCODER_CROP_PX, ENCODER_CROP_PX))
    assert (code.geometry_corrective.shape[1], code.reflectance_corrective.shape[1]) == (4, 6)
    assert code.reflectance_corrective.min() >= 0
    latent = code.reflectance_corrective[:, :3] - code.reflectance_corrective[:, 3:]
    torch.testing.assert_close(
        latent[0], encoder.heads["reflectance_corrective"].bias, atol=FIRST_OFFSET + 1e-6, rtol=0
    )


def test_rectified_corrections_that_are_zero_can_learn():
    encoder = Encoder(4, 6, rectified=True)
    code = encoder(torch.rand(2, 3, ENCODER_CROP_PX, ENCODER_CROP_PX))
    (code.geometry_corrective[:, 0] - code.geometry_corrective[:, 2]).sum().backward()
    assert encoder.heads["geometry_corrective"].bias.grad.abs().max() > 0


def test_an_odd_number_cannot_be_rectified():
    with pytest.raises(ValueError, match="come in pairs, got 3 and 4"):
        Encoder(3, 4, rectified=True)


def test_geometry_is_hardly_read_off_a_face_with_large_shadows(model):
    """Two opposite quarters of a bearded face, which no light of the first harmonics explains."""
    look = SecondLook(model, 2, 3)
    torch.nn.init.constant_(look.reader.weight, 1.0)
    code, half = a_face(), ENCODER_CROP_PX // 2
    crop = picture_of(model, code, beard(model))
    shadowed = crop.clone()
    shadowed[..., :half, :half] *= 0.6
    shadowed[..., half:, half:] *= 0.6
    day, flash = (look(picture, code.pack())[0].detach() for picture in (crop, shadowed))
    assert day[0] / day[2] > 0.7
    assert flash[0] / flash[2] < 0.6
    torch.testing.assert_close(day[:2], day[0].expand(2))
