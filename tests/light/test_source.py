# SPDX-License-Identifier: Apache-2.0
"""Lights by the names that users give them."""

import math
from pathlib import Path

import numpy as np
import pytest

from facefactor.errors import AssetMissing
from facefactor.light.presets import preset_light
from facefactor.light.source import light_from_text, read_panorama
from facefactor.light.spherical_harmonics import dominant_direction


def test_a_preset_and_a_direction():
    np.testing.assert_array_equal(light_from_text("sunset"), preset_light("sunset"))
    right = dominant_direction(light_from_text("90,0"))
    np.testing.assert_allclose(right, (1, 0, 0), atol=1e-6)
    np.testing.assert_allclose(dominant_direction(light_from_text(" -30.5, 90 ")), (0, 1, 0), atol=1e-6)


@pytest.mark.parametrize("text", ["", "moon", "1,2,3", "a,b", "nan,0", "5"])
def test_what_is_no_light_is_refused(text: str):
    with pytest.raises(ValueError, match=r"is no light: name a preset|must be finite"):
        light_from_text(text)


def bright_to_the_right(folder: Path, suffix: str) -> Path:
    """A panorama whose three quarters across, image right, is bright."""
    pixels = np.full((16, 32, 3), 0.1, dtype=np.float32)
    pixels[6:10, 22:26] = 4.0
    path = folder / f"sky{suffix}"
    if suffix == ".exr":
        OpenEXR = pytest.importorskip("OpenEXR", reason="OpenEXR (the extra `exr`) is not installed")
        OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": pixels}).write(str(path))
    else:
        mantissa, exponent = np.frexp(pixels.max(axis=2))
        scale = (mantissa * 256 / pixels.max(axis=2))[..., None]
        rgbe = np.concatenate((pixels * scale, exponent[..., None] + 128), axis=2).astype(np.uint8)
        path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 16 +X 32\n" + rgbe.tobytes())
    return path


@pytest.mark.parametrize("suffix", [".hdr", ".exr"])
def test_a_panorama_lights_from_where_it_is_bright(suffix: str, tmp_path: Path):
    path = bright_to_the_right(tmp_path, suffix)
    assert read_panorama(path).shape == (16, 32, 3)
    assert dominant_direction(light_from_text(str(path)))[0] > 0.95
    balanced = light_from_text(str(path), white_balanced=True)
    np.testing.assert_allclose(balanced[0], math.sqrt(4 * math.pi), rtol=1e-5)
    assert dominant_direction(balanced)[0] > 0.95


@pytest.mark.parametrize("white_balanced", [False, True])
@pytest.mark.parametrize(("byte", "message"), [(0, "holds no light"), (255, "is too bright for any scene")])
def test_a_panorama_that_is_no_light_is_refused(byte: int, message: str, white_balanced: bool, tmp_path: Path):
    path = tmp_path / "sky.hdr"
    path.write_bytes(b"#?RADIANCE\n\n-Y 4 +X 4\n" + bytes([byte] * 64))
    with pytest.raises(AssetMissing, match=rf"sky\.hdr: {message}"):
        light_from_text(str(path), white_balanced)


def test_a_panorama_in_candelas_is_a_light_once_it_is_balanced(tmp_path: Path):
    path = tmp_path / "noon.hdr"
    path.write_bytes(b"#?RADIANCE\n\n-Y 4 +X 4\n" + bytes([128, 128, 128, 143] * 16))  # 16,448 everywhere
    np.testing.assert_allclose(light_from_text(str(path), white_balanced=True)[0], math.sqrt(4 * math.pi), rtol=1e-5)
    with pytest.raises(AssetMissing, match="is too bright"):
        light_from_text(str(path))


@pytest.mark.parametrize("suffix", [".hdr", ".exr"])
def test_files_that_are_no_panoramas_are_named(suffix: str, tmp_path: Path):
    if suffix == ".exr":
        pytest.importorskip("OpenEXR", reason="OpenEXR (the extra `exr`) is not installed")
    with pytest.raises(AssetMissing, match=rf"none{suffix}: .*(no such file|No such file)"):
        light_from_text(str(tmp_path / f"none{suffix}"))
    with pytest.raises(AssetMissing, match="File name too long"):
        light_from_text("n" * 300 + suffix)
    (tmp_path / f"bad{suffix}").write_bytes(b"not a picture")
    with pytest.raises(AssetMissing, match=f"bad{suffix}: is no "):
        light_from_text(str(tmp_path / f"bad{suffix}"))
