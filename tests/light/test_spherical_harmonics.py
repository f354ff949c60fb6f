# SPDX-License-Identifier: Apache-2.0
"""Spherical-harmonic light against closed forms and numeric integrals over the sphere."""

import math

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y
from torch.autograd import gradcheck

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.light.spherical_harmonics import (
    LAMBERT_FACTORS,
    Y00,
    ambient_light,
    directional_light,
    dominant_direction,
    evaluate_basis,
    irradiance_over_pi,
    project_environment_map,
    rotate_light,
    shade,
)


def random_directions(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator, dtype=torch.float64), dim=-1)


def random_light(*shape, seed=1):
    return torch.randn(*shape, 9, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sphere_quadrature(num_z=24, num_azimuth=48):
    """Directions and weights that integrate polynomials up to degree 47 exactly (Gauss-Legendre × uniform)."""
    z, weights = np.polynomial.legendre.leggauss(num_z)
    azimuth = 2 * np.pi * np.arange(num_azimuth) / num_azimuth
    radius = np.sqrt(1 - z * z)[:, None]
    directions = np.stack(np.broadcast_arrays(radius * np.cos(azimuth), radius * np.sin(azimuth), z[:, None]), axis=-1)
    solid_angles = np.broadcast_to(weights[:, None] * 2 * np.pi / num_azimuth, directions.shape[:2])
    return torch.tensor(directions.reshape(-1, 3)), torch.tensor(solid_angles.reshape(-1).copy())


def test_the_basis_is_orthonormal():
    directions, solid_angles = sphere_quadrature()
    basis = evaluate_basis(directions)
    gram = basis.mT @ (solid_angles[:, None] * basis)
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), atol=1e-14, rtol=0)


def test_directions_may_lie_along_another_axis():
    directions = random_directions(30).reshape(2, 15, 3)
    torch.testing.assert_close(evaluate_basis(directions.mT, axis=1), evaluate_basis(directions).mT)


def test_convention_order_and_signs_are_those_of_the_complex_harmonics_without_the_phase():
    directions = random_directions(30)
    x, y, z = directions.numpy().T
    polar, azimuth = np.arccos(z), np.arctan2(y, x)
    basis = evaluate_basis(directions).numpy()
    for band in range(3):
        for order in range(-band, band + 1):
            complex_value = (-1) ** order * sph_harm_y(band, abs(order), polar, azimuth)
            part = complex_value.imag if order < 0 else complex_value.real
            expected = part * (math.sqrt(2) if order else 1)
            np.testing.assert_allclose(basis[:, band * (band + 1) + order], expected, atol=1e-14)


def test_convention_the_coefficients_are_ordered_y_z_x_then_xy_yz_zz_xz_xx():
    basis = evaluate_basis(torch.eye(3, dtype=torch.float64))
    assert [row[1:4].argmax().item() + 1 for row in basis] == [3, 1, 2]  # along x, y, z: Y11, Y1-1, Y10
    assert (basis[:, [1, 2, 3]].sum(0) > 0).all()


def test_convention_white_light_of_strength_one_returns_the_albedo():
    light = torch.zeros(9, 3, dtype=torch.float64)
    light[0] = 1 / Y00
    albedo = torch.rand(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(shade(albedo, random_directions(10), light), albedo)
    torch.testing.assert_close(ambient_light(torch.ones(3, dtype=torch.float64)), light)


def test_convention_the_lambert_factors_turn_radiance_into_irradiance_over_pi():
    """The clamped cosine integrated over a smooth radiance equals the factors, for any light in the nine functions."""
    light, normal = random_light(), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    cosine, weights = np.polynomial.legendre.leggauss(24)
    cosine, weights = 0.5 * (cosine + 1), 0.5 * weights  # on the upper hemisphere the integrand is a polynomial in z
    azimuth = 2 * np.pi * np.arange(48) / 48
    sine = np.sqrt(1 - cosine**2)[:, None]
    directions = np.stack(np.broadcast_arrays(sine * np.cos(azimuth), sine * np.sin(azimuth), cosine[:, None]), axis=-1)
    radiance = evaluate_basis(torch.tensor(directions)) @ light
    measure = torch.tensor(weights * cosine)[:, None] * 2 * math.pi / 48
    expected = (radiance * measure[..., None]).sum((0, 1)) / math.pi
    torch.testing.assert_close(irradiance_over_pi(normal[None], light)[0], expected)
    assert [LAMBERT_FACTORS[k] for k in (0, 1, 4)] == [1, 2 / 3, 1 / 4]


def test_a_directional_light_is_the_best_fit_of_the_clamped_cosine():
    """Projecting max(0, n·d) on the basis and adding it up again gives the same shading at every normal."""
    direction = random_directions()
    directions, solid_angles = sphere_quadrature(200, 400)
    clamped = (directions @ direction).clamp_min(0)
    projected = evaluate_basis(directions).mT @ (solid_angles * clamped)
    normals = random_directions(40)
    light = directional_light(3 * direction, torch.ones(3, dtype=torch.float64))
    expected = (evaluate_basis(normals) @ projected)[:, None].expand(-1, 3)
    # The kink of the clamped cosine limits the quadrature, not the formula.
    torch.testing.assert_close(irradiance_over_pi(normals, light), expected, atol=2e-5, rtol=0)


def test_a_directional_light_gives_seventeen_sixteenths_of_its_strength_to_a_surface_facing_it():
    direction, strength = random_directions(1), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    light = directional_light(direction[0], strength)
    torch.testing.assert_close(irradiance_over_pi(direction, light)[0], strength * 17 / 16)


def test_a_light_from_a_direction_gives_that_direction_back():
    directions = random_directions(20)
    colours = torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    light = directional_light(directions, colours) + ambient_light(colours.flip(-1))
    torch.testing.assert_close(dominant_direction(light), directions)


def test_light_from_everywhere_has_no_direction():
    assert dominant_direction(ambient_light(torch.ones(3))).tolist() == [0.0, 0.0, 0.0]


def test_turning_light_and_surface_together_changes_no_colour():
    rotations = matrix_from_axis_angle(2.0 * random_directions(6, seed=3))
    lights, normals = random_light(6), random_directions(6, 15)
    turned = irradiance_over_pi(normals @ rotations.mT, rotate_light(lights, rotations))
    torch.testing.assert_close(turned, irradiance_over_pi(normals, lights))


def test_one_rotation_turns_a_batch_of_lights_and_its_inverse_turns_it_back():
    rotation, lights = matrix_from_axis_angle(random_directions()), random_light(4)
    torch.testing.assert_close(rotate_light(rotate_light(lights, rotation), rotation.mT), lights)


def test_convention_a_rotated_light_comes_from_the_rotated_direction():
    direction, rotation = random_directions(), matrix_from_axis_angle(random_directions(seed=5))
    white = torch.ones(3, dtype=torch.float64)
    rotated = rotate_light(directional_light(direction, white), rotation)
    torch.testing.assert_close(rotated, directional_light(rotation @ direction, white))


def panorama_of(radiance, height=64, width=128):
    """Sample a radiance function of x, y, z at the pixel centres of the documented orientation, pixel by pixel."""
    picture = np.zeros((height, width, 3))
    for row in range(height):
        for column in range(width):
            elevation = math.pi / 2 - math.pi * (row + 0.5) / height
            azimuth = 2 * math.pi * (column + 0.5) / width - math.pi
            x, y = math.sin(azimuth) * math.cos(elevation), math.sin(elevation)
            picture[row, column] = radiance(x, y, -math.cos(azimuth) * math.cos(elevation))
    return picture


def test_a_panorama_of_one_of_the_basis_functions_gives_its_coefficient():
    panorama = panorama_of(lambda x, y, z: evaluate_basis(np.array([x, y, z]))[7])
    expected = np.zeros((9, 3))
    expected[7] = 1.0
    # Pixel centres stand for whole pixels: an error of the order of a pixel's angle squared, (π/64)².
    np.testing.assert_allclose(project_environment_map(panorama), expected, atol=2e-3)


def test_a_constant_panorama_is_ambient_light():
    light = project_environment_map(np.full((8, 16, 3), 0.7))
    np.testing.assert_allclose(light[0], 0.7 / Y00)


@pytest.mark.parametrize(
    ("row", "column", "direction"),
    [
        (0.5, 0.5, (0, 0, -1)),
        (0.5, 0.75, (1, 0, 0)),
        (0.5, 0.25, (-1, 0, 0)),
        (0.0, 0.5, (0, 1, 0)),
        (0.5, 0, (0, 0, 1)),
    ],
)
def test_convention_orientation_of_the_panorama(row, column, direction):
    panorama = np.zeros((128, 256, 3))
    panorama[int(row * 127.0), int(column * 256.0)] = 100.0
    cosine = dominant_direction(project_environment_map(panorama)) @ np.array(direction)
    assert cosine > math.cos(math.radians(2.0))


def test_gradients_are_right():
    normals, light = random_directions(2, 4).requires_grad_(), random_light(2).requires_grad_()
    albedo = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    rotation = matrix_from_axis_angle(random_directions()).requires_grad_()
    colour = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(shade, (albedo, normals, light))
    assert gradcheck(rotate_light, (light, rotation))
    assert gradcheck(dominant_direction, (light,))
    assert gradcheck(directional_light, (random_directions().requires_grad_(), colour))
    assert gradcheck(ambient_light, (colour,))


def test_arrays_give_what_tensors_give():
    """The formulas are one; this holds numpy's functions to torch's."""
    normals, lights, direction = random_directions(2, 5), random_light(2), random_directions(2, seed=4)
    rotation, colours = matrix_from_axis_angle(direction), random_directions(2, seed=7).abs()
    for function, arguments in (
        (irradiance_over_pi, (normals, lights)),
        (rotate_light, (lights, rotation)),
        (dominant_direction, (lights,)),
        (directional_light, (direction, colours)),
        (ambient_light, (colours,)),
    ):
        answer = function(*(argument.numpy() for argument in arguments))
        assert isinstance(answer, np.ndarray)
        np.testing.assert_allclose(answer, function(*arguments).numpy(), atol=1e-12)
