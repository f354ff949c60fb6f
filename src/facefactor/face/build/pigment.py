# SPDX-License-Identifier: Apache-2.0
"""Colour of skin from its two pigments: melanin in the epidermis above haemoglobin in the dermis.

Third step of the model build; `albedo` spreads the two pigments over the face. Light crosses the epidermis, is
scattered back by the dermis and crosses the epidermis again:

    R(λ) = floor + (1 − floor) · exp(−D · d · c_m · μ_m(λ)) · R∞(λ)
    R∞ = 1 + k − √(k² + 2k),   k = 2 c_h μ_h(λ) / (¾ μ_s'(λ))          (Kubelka & Munk 1931)

with c_m, c_h the volume shares of melanosomes and blood, d the epidermis' thickness, D the lengthening of diffuse
paths, floor the light turned back before it meets melanin. μ_m follows a power law; the textbook exponent 3.33
(Jacques 1998) makes dark skin orange, 1.5 follows the measured colours of `tests/face/build/test_pigment.py`, as does
the scattering scale. R(λ) is seen under D65 by the CIE 1931 observer and written in linear sRGB.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

WAVELENGTHS_NM = np.arange(400.0, 701.0, 10.0)

MELANIN_RANGE = (0.001, 0.9)
HAEMOGLOBIN_RANGE = (0.002, 0.4)
MEAN_HAEMOGLOBIN = 0.024

MELANIN_AT_550_PER_CM = 495.0
"""Absorption of a melanosome at 550 nm (Jacques 1998)."""
MELANIN_SLOPE = 1.5
EPIDERMIS_CM = 0.006
DIFFUSION_FACTOR = 5.0
BACKSCATTER_FLOOR = 0.0167
OXYGENATION = 0.9
SCATTERING_AT_500_PER_CM = 46.0
SCATTERING_SLOPE = 1.421
"""Reduced scattering of skin and its exponent, mean over studies (Jacques 2013, table 1)."""
SCATTERING_SCALE = 2.79
"""Fitted: the shares of blood here count as in live, evenly perfused skin."""
BLOOD_MOLAR = 2.303 * 150.0 / 64500.0
"""ln 10 × moles of haemoglobin in a litre of blood (150 g/l, 64.5 kg/mol)."""

OXYHAEMOGLOBIN = np.array([
    266232, 466840, 480360, 246072, 102580, 62816, 44480, 33209, 26629, 23684, 20933, 20035, 24202, 39957, 53236, 43016,
    32613, 44496, 50104, 14401, 3200, 1506, 942, 610, 442, 368, 320, 294, 278, 276, 290,
], dtype=float)  # fmt: skip
DEOXYHAEMOGLOBIN = np.array([
    223296, 303956, 407560, 528600, 413280, 103292, 23389, 16156, 14550, 16684, 20862, 25774, 31590, 39036, 46592,
    53412, 53788, 45072, 37020, 28324, 14677, 9444, 6510, 5149, 4345, 3750, 3227, 2795, 2408, 2052, 1794,
], dtype=float)  # fmt: skip
"""Molar extinction in 1/(cm·mol/l) at `WAVELENGTHS_NM` (compiled by S. Prahl, Oregon Medical Laser Center, 1998)."""
DAYLIGHT_D65 = np.array([
    82.75, 91.49, 93.43, 86.68, 104.86, 117.01, 117.81, 114.86, 115.92, 108.81, 109.35, 107.80, 104.79, 107.69, 104.41,
    104.05, 100.00, 96.33, 95.79, 88.69, 90.01, 89.60, 87.70, 83.29, 83.70, 80.03, 80.21, 82.28, 78.28, 69.72, 71.61,
])  # fmt: skip
"""Relative power of CIE illuminant D65 at `WAVELENGTHS_NM`."""
XYZ_TO_SRGB = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)
LUMINANCE = np.array([0.2126729, 0.7151522, 0.0721750])
"""Weights of linear sRGB in CIE Y."""


def matching_functions(wavelengths_nm: np.ndarray) -> np.ndarray:
    """The CIE 1931 2° observer, (3, N), as sums of two-sided Gaussians (Wyman, Sloan & Shirley 2013)."""

    def lobe(height: float, centre: float, left: float, right: float) -> np.ndarray:
        offset = wavelengths_nm - centre
        return height * np.exp(-0.5 * (offset * np.where(offset < 0, left, right)) ** 2)

    x = lobe(1.056, 599.8, 0.0264, 0.0323) + lobe(0.362, 442.0, 0.0624, 0.0374) + lobe(-0.065, 501.1, 0.0490, 0.0382)
    y = lobe(0.821, 568.8, 0.0213, 0.0247) + lobe(0.286, 530.9, 0.0613, 0.0322)
    z = lobe(1.217, 437.0, 0.0845, 0.0278) + lobe(0.681, 459.0, 0.0385, 0.0725)
    return np.stack([x, y, z])


def spectrum_to_linear_srgb(reflectance: np.ndarray) -> np.ndarray:
    """Linear sRGB (..., 3) of reflectance spectra (..., 31) under D65; a perfect white gives exactly (1, 1, 1)."""
    weights = XYZ_TO_SRGB @ (matching_functions(WAVELENGTHS_NM) * DAYLIGHT_D65)
    return reflectance @ (weights / weights.sum(axis=1, keepdims=True)).T


def skin_reflectance(melanin: np.ndarray, haemoglobin: np.ndarray) -> np.ndarray:
    """Reflectance spectra (..., 31) of skin.

    Args:
        melanin: (...) volume share of melanosomes in the epidermis, 0.003 (palest) to 0.5 (darkest).
        haemoglobin: (...) volume share of blood in the dermis, about 0.024.
    """
    melanin, haemoglobin = (np.asarray(x, dtype=float)[..., None] for x in (melanin, haemoglobin))
    melanin_absorption = MELANIN_AT_550_PER_CM * (WAVELENGTHS_NM / 550.0) ** -MELANIN_SLOPE
    passed = np.exp(-DIFFUSION_FACTOR * EPIDERMIS_CM * melanin * melanin_absorption)
    blood = BLOOD_MOLAR * (OXYGENATION * OXYHAEMOGLOBIN + (1 - OXYGENATION) * DEOXYHAEMOGLOBIN)
    scattering = SCATTERING_SCALE * SCATTERING_AT_500_PER_CM * (WAVELENGTHS_NM / 500.0) ** -SCATTERING_SLOPE
    ratio = 2 * haemoglobin * blood / (0.75 * scattering)
    dermis = 1 + ratio - np.sqrt(ratio**2 + 2 * ratio)
    return BACKSCATTER_FLOOR + (1 - BACKSCATTER_FLOOR) * passed * dermis


def skin_albedo(melanin: np.ndarray, haemoglobin: np.ndarray) -> np.ndarray:
    """Linear sRGB albedo (..., 3) of skin; arguments as in `skin_reflectance`."""
    return spectrum_to_linear_srgb(skin_reflectance(melanin, haemoglobin))


@dataclass(frozen=True)
class PigmentTable:
    """log `skin_albedo` tabulated over the logarithms of both pigments, for many look-ups."""

    log_albedo: np.ndarray
    """(M, H, 3)."""

    @classmethod
    def build(cls, melanin_steps: int = 128, haemoglobin_steps: int = 64) -> "PigmentTable":
        melanin = np.geomspace(*MELANIN_RANGE, melanin_steps)
        haemoglobin = np.geomspace(*HAEMOGLOBIN_RANGE, haemoglobin_steps)
        return cls(np.log(skin_albedo(melanin[:, None], haemoglobin[None, :])).astype(np.float32))

    def look_up(self, log_melanin: np.ndarray, log_haemoglobin: np.ndarray) -> np.ndarray:
        """Log linear albedo (N, 3) at (N,) logarithms of the pigments, held at the table's rim beyond it."""
        place = np.stack(
            [
                _table_place(log_melanin, MELANIN_RANGE, self.log_albedo.shape[0]),
                _table_place(log_haemoglobin, HAEMOGLOBIN_RANGE, self.log_albedo.shape[1]),
            ]
        )
        channels = [map_coordinates(self.log_albedo[..., c], place, order=1, mode="nearest") for c in range(3)]
        return np.stack(channels, axis=-1)


def melanin_for_luminance(luminance: np.ndarray, haemoglobin: float = MEAN_HAEMOGLOBIN) -> np.ndarray:
    """Share of melanin that gives skin a luminance (CIE Y, 0 to 1), held at the ends of `MELANIN_RANGE`."""
    melanin = np.geomspace(*MELANIN_RANGE, 512)
    darkening = skin_albedo(melanin, np.full_like(melanin, haemoglobin)) @ LUMINANCE
    return np.exp(np.interp(np.log(luminance), np.log(darkening[::-1]), np.log(melanin[::-1])))


def _table_place(log_share: np.ndarray, share_range: tuple[float, float], steps: int) -> np.ndarray:
    low, high = np.log(share_range)
    return (log_share - low) / (high - low) * (steps - 1)
