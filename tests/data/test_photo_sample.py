# SPDX-License-Identifier: Apache-2.0
"""One face of a photo, to its files and back."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from facefactor.camera.pose import matrix_from_euler_deg
from facefactor.data.crops import CORPUS_CROP_PX, mean_landmarks_mm
from facefactor.data.photo_sample import (
    PhotoSample,
    cut_photo_sample,
    decode_photo_sample,
    encode_photo_sample,
    estimate_yaw_deg,
)
from facefactor.data.shards import Sample
from facefactor.errors import IncompatibleCode
from facefactor.photo import Photo, crop_to_photo
from facefactor.photo.crop import crop_image
from facefactor.photo.find import FoundFace


@pytest.fixture
def sample(astronaut_photo: Photo, astronaut_face: FoundFace) -> PhotoSample:
    return cut_photo_sample(astronaut_photo, astronaut_face, "sub folder/ästronaut.png")


def test_a_sample_comes_back_from_its_files(sample: PhotoSample) -> None:
    decoded = decode_photo_sample(encode_photo_sample(sample, "00000000-0"))
    np.testing.assert_allclose(decoded.landmarks_px, sample.landmarks_px, atol=0.0051)
    np.testing.assert_allclose(decoded.visibility, sample.visibility, atol=0.00051)
    np.testing.assert_array_equal(decoded.T_photo_crop, sample.T_photo_crop)
    assert (decoded.photo, decoded.photo_size_px) == ("sub folder/ästronaut.png", (512, 512))
    assert decoded.face_box == sample.face_box
    assert decoded.yaw_deg == pytest.approx(sample.yaw_deg, abs=0.0051)
    # JPEG of quality 95
    assert np.abs(decoded.crop_srgb.astype(float) - sample.crop_srgb).mean() < 2


def test_the_landmarks_lead_back_to_the_photo(sample: PhotoSample, astronaut_face: FoundFace) -> None:
    points_px = crop_to_photo(sample.landmarks_px, sample.T_photo_crop)
    np.testing.assert_allclose(points_px, astronaut_face.landmarks.points_px, atol=1e-4)


def test_the_crop_is_the_photo_s(sample: PhotoSample, astronaut_photo: Photo) -> None:
    expected = crop_image(astronaut_photo, sample.T_photo_crop, CORPUS_CROP_PX)
    np.testing.assert_allclose(sample.crop_srgb / 255.0, expected, atol=0.5 / 255 + 1e-6)


def test_a_name_that_is_no_text_survives(sample: PhotoSample) -> None:
    odd = replace(sample, photo="\udcff.jpg")  # a Latin-1 name, as Linux may hold it
    assert decode_photo_sample(encode_photo_sample(odd, "0")).photo == "\udcff.jpg"


@pytest.mark.parametrize("yaw_deg", [-70, -30, 0, 15, 60])
@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0, 0), (20, 0), (-15, 8)])
def test_the_yaw_of_a_head_in_the_distance_is_found(yaw_deg: float, pitch_deg: float, roll_deg: float) -> None:
    R = matrix_from_euler_deg(torch.tensor([yaw_deg, pitch_deg, roll_deg], dtype=torch.float64)).numpy()
    points_px = (mean_landmarks_mm() @ R.T)[:, :2] * (0.5, -0.5) + 80
    assert estimate_yaw_deg(points_px) == pytest.approx(yaw_deg, abs=1e-3)


@pytest.mark.parametrize("missing", ["landmarks_px", "photo_size_px", "face_box"])
def test_a_sample_that_lacks_something_is_said(sample: PhotoSample, missing: str) -> None:
    files = encode_photo_sample(sample, "7").files
    record = json.loads(files["json"])
    del record[missing]
    with pytest.raises(IncompatibleCode, match=f"sample 7 .*{missing}"):
        decode_photo_sample(Sample("7", {**files, "json": json.dumps(record).encode()}))


def test_a_sample_of_other_sizes_is_said(sample: PhotoSample) -> None:
    smaller = replace(sample, crop_srgb=sample.crop_srgb[:128, :128])
    with pytest.raises(IncompatibleCode, match=r"128, 128, 3.*expected.*160, 160, 3"):
        decode_photo_sample(encode_photo_sample(smaller, "7"))


@pytest.mark.parametrize("files", [{}, {"json": b"{}"}, {"json": b"{}", "jpg": b"no picture"}, {"json": b"{"}])
def test_a_sample_without_its_files_is_said(files: dict[str, bytes]) -> None:
    with pytest.raises(IncompatibleCode, match="sample 7 is no photo sample"):
        decode_photo_sample(Sample("7", files))
