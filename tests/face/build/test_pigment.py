# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.face.build import pigment

MEASURED_SKIN_LAB = np.array(
    [[70, 9, 16], [67, 11, 17], [62, 11, 18.5], [56, 12.5, 19.5], [48, 12.5, 19], [38, 11, 15], [30, 9, 11.5]]
)
"""Typical skin from light to dark under a spectrophotometer: L* 70 and 38 as the task gave them, the others
chosen by eye between and beyond them; not a published table."""
WHITE_D65 = np.array([0.95047, 1.0, 1.08883])


def lab_of_linear_srgb(colour: np.ndarray) -> np.ndarray:
    xyz = colour @ np.linalg.inv(pigment.XYZ_TO_SRGB).T / WHITE_D65
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def test_a_perfect_white_is_one_in_every_channel():
    assert np.allclose(pigment.spectrum_to_linear_srgb(np.ones(31)), 1.0)


def test_daylight_has_the_chromaticity_the_cie_gives_it():
    xyz = pigment.matching_functions(pigment.WAVELENGTHS_NM) @ pigment.DAYLIGHT_D65
    # 0.003: the analytic matching functions stand for the tabulated ones.
    assert np.allclose(xyz[:2] / xyz.sum(), [0.3127, 0.3290], atol=0.003)


def test_a_spectrum_of_one_band_has_its_hue():
    red, blue = (np.abs(pigment.WAVELENGTHS_NM - peak) < 30 for peak in (630, 450))
    assert np.argmax(pigment.spectrum_to_linear_srgb(red.astype(float))) == 0
    assert np.argmax(pigment.spectrum_to_linear_srgb(blue.astype(float))) == 2


@pytest.mark.parametrize("measured", MEASURED_SKIN_LAB, ids=lambda lab: f"L{lab[0]:.0f}")
def test_some_share_of_melanin_gives_each_measured_skin(measured: np.ndarray):
    melanin = np.geomspace(0.002, 0.5, 400)
    difference = lab_of_linear_srgb(pigment.skin_albedo(melanin, 0.024)) - measured
    # One free number per skin, no more: within 5 units of Lab, about what one cheek and another differ by.
    assert np.linalg.norm(difference, axis=1).min() < 5.0


def test_the_palest_and_the_darkest_skin_span_the_fitzpatrick_scale():
    lightness = lab_of_linear_srgb(pigment.skin_albedo(np.array([0.003, 0.3]), 0.024))[:, 0]
    assert lightness[0] > 82
    assert lightness[1] < 20


def test_melanin_darkens_and_blood_reddens():
    by_melanin = pigment.skin_albedo(np.geomspace(0.003, 0.5, 30), 0.024)
    by_blood = pigment.skin_albedo(0.03, np.geomspace(0.005, 0.2, 30))
    assert (np.diff(by_melanin, axis=0) < 0).all()
    assert (np.diff(by_blood[:, 0] / by_blood[:, 1]) > 0).all()
    assert (by_melanin > 0).all()
    assert (by_melanin < 1).all()


def test_red_stays_above_green_above_blue_at_every_tone():
    colour = pigment.skin_albedo(np.geomspace(0.003, 0.5, 50), 0.024)
    assert (colour[:, 0] > colour[:, 1]).all()
    assert (colour[:, 1] > colour[:, 2]).all()


def test_the_table_agrees_with_the_formula():
    generator = np.random.default_rng(1)
    log_melanin = generator.uniform(np.log(0.003), np.log(0.5), 200)
    log_haemoglobin = generator.uniform(np.log(0.005), np.log(0.3), 200)
    looked_up = pigment.PigmentTable.build().look_up(log_melanin, log_haemoglobin)
    # 2e-3: bilinear interpolation over steps of 5 % and 8 %.
    assert np.allclose(looked_up, np.log(pigment.skin_albedo(np.exp(log_melanin), np.exp(log_haemoglobin))), atol=2e-3)


def test_the_table_holds_its_rim():
    table = pigment.PigmentTable.build(8, 8)
    beyond = table.look_up(np.log([1e-6, 5.0]), np.log([1e-6, 5.0]))
    assert np.allclose(beyond, table.log_albedo[[0, -1], [0, -1]])


def test_melanin_for_luminance_gives_the_luminance_asked_for():
    luminance = np.array([0.03, 0.1, 0.3, 0.6])
    colour = pigment.skin_albedo(pigment.melanin_for_luminance(luminance), pigment.MEAN_HAEMOGLOBIN)
    assert np.allclose(colour @ pigment.LUMINANCE, luminance, rtol=1e-3)
