# SPDX-License-Identifier: Apache-2.0
"""What is refused, and what must not be."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facefactor.data.photo_sample import PhotoSample, cut_photo_sample
from facefactor.data.quality import measure_quality
from facefactor.photo import Photo, photo_from_array
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.photo.find import FoundFace


@pytest.fixture(scope="module")
def sample(astronaut_photo: Photo, astronaut_face: FoundFace) -> PhotoSample:
    return cut_photo_sample(astronaut_photo, astronaut_face, "a")


def fault_of(sample: PhotoSample, change) -> str | None:
    """What is wrong with the sample after a change of its encoded pixels in [0, 1]."""
    changed = np.clip(change(sample.crop_srgb / 255.0), 0, 1)
    return measure_quality(np.rint(changed * 255).astype(np.uint8), sample.landmarks_px).fault()


def exposed(factor: float):
    """Multiply the light."""
    return lambda srgb: linear_to_srgb(np.clip(srgb_to_linear(srgb) * factor, 0, 1))


def desaturated(share: float):
    """Move the colours towards grey."""
    return lambda srgb: srgb + share * (srgb.mean(axis=2, keepdims=True) - srgb)


def noisy(srgb: np.ndarray) -> np.ndarray:
    return srgb + np.random.default_rng(0).normal(0, 0.08, srgb.shape)


def blurred(radius_px: float):
    def blur(srgb: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(np.rint(srgb * 255).astype(np.uint8))
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius_px))) / 255.0

    return blur


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (blurred(5.0), "blurred"),
        (exposed(0.005), "under_exposed"),
        (exposed(40.0), "over_exposed"),
        (desaturated(1.0), "grey"),
    ],
)
def test_the_unusable_is_refused_by_its_name(sample: PhotoSample, change, fault: str) -> None:
    assert fault_of(sample, change) == fault


@pytest.mark.parametrize(
    "change",
    [lambda srgb: srgb, blurred(1.0), exposed(0.08), exposed(1.6), desaturated(0.8), noisy],
    ids=["as it is", "soft", "dark", "bright", "pale", "noisy"],
)
def test_the_imperfect_is_kept(sample: PhotoSample, change) -> None:
    assert fault_of(sample, change) is None


def test_dark_skin_in_dim_light_is_kept(sample: PhotoSample) -> None:
    assert fault_of(sample, lambda srgb: exposed(0.12)(srgb) * (1.0, 0.85, 0.8)) is None


def test_sharpness_does_not_depend_on_exposure_or_contrast(sample: PhotoSample) -> None:
    dim = np.rint(40 + sample.crop_srgb * 0.5).astype(np.uint8)
    measures = [measure_quality(crop, sample.landmarks_px).sharpness for crop in (sample.crop_srgb, dim)]
    assert measures[1] == pytest.approx(measures[0], rel=0.03)  # rounding to whole values adds noise


def test_only_the_face_counts(sample: PhotoSample) -> None:
    framed = sample.crop_srgb.copy()
    framed[:10], framed[-10:] = 255, 0
    before, after = (measure_quality(crop, sample.landmarks_px) for crop in (sample.crop_srgb, framed))
    assert before == after


def test_an_even_picture_is_blurred_and_no_division_by_zero() -> None:
    photo = photo_from_array(np.full((160, 160, 3), (120, 90, 80), np.uint8), "even")
    assert measure_quality(photo.srgb, np.full((478, 2), 500.0)).fault() == "blurred"
