# SPDX-License-Identifier: Apache-2.0
"""Faces bred from what was seen in photos."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.data.bred_faces import BredFaces, BreedingSettings
from facefactor.data.photo_sample import PhotoSample, encode_photo_sample
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.shards import PHOTOGRAPHS, CorpusRecord, write_corpus_record, write_shard
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.data.synthetic_face import SyntheticFace
from facefactor.data.synthetic_sample import cut_encoder_crop
from facefactor.face.model import load_face_model
from facefactor.losses.landmark import CropLandmarks
from facefactor.losses.model_space import rotation_distance
from facefactor.photo.detect import FaceBox

NUMBERS = [3, 0, 7, 11]
NOSE_TIP = 4


@pytest.fixture(scope="module")
def seen(rendered_photos: tuple[Path, list]) -> FaceCode[np.ndarray]:
    return FaceCode.unpack(np.stack([rendered_photos[1][number].code.pack() for number in NUMBERS]))


@pytest.fixture(scope="module")
def photos(rendered_photos: tuple[Path, list]) -> PhotoCorpus:
    return PhotoCorpus(rendered_photos[0])


@pytest.fixture(scope="module")
def bred(photos: PhotoCorpus, seen: FaceCode[np.ndarray]) -> BredFaces:
    return BredFaces(photos, NUMBERS, seen, BreedingSettings())


@pytest.fixture(scope="module")
def made(bred: BredFaces) -> list[SyntheticFace]:
    return bred.make(range(8))


def codes(faces: list[SyntheticFace]) -> FaceCode[np.ndarray]:
    return FaceCode.unpack(np.stack([face.code.pack() for face in faces]))


def test_the_landmarks_are_the_code_s(made: list[SyntheticFace]) -> None:
    projected = CropLandmarks(load_face_model()).project(codes(made).to_torch()).numpy()
    for face, expected in zip(made, projected, strict=True):
        assert np.abs(cut_encoder_crop(face).landmarks_px - expected).max() < 0.02


def test_perturbations_are_as_large_as_they_should_be(photos: PhotoCorpus, seen: FaceCode[np.ndarray]) -> None:
    still = BreedingSettings(crop_spread=0.0)
    many = codes(BredFaces(photos, NUMBERS, seen, still).make(range(24)))
    start = FaceCode.unpack(np.tile(seen.pack(), (6, 1)))
    for name, spread in (("shape", 0.1), ("reflectance", 0.2), ("illumination", 0.02)):
        difference = getattr(many, name) - getattr(start, name)
        assert difference.std() == pytest.approx(spread, rel=0.15)
    strong = start.expression > 0.4
    assert (many.expression - start.expression)[strong & (start.expression < 0.6)].std() == pytest.approx(0.1, rel=0.5)
    assert many.expression.min() >= 0
    assert many.expression.max() <= 1
    turned = rotation_distance(torch.from_numpy(many.rotation), torch.from_numpy(start.rotation)).sqrt()
    turned_deg = np.degrees(turned.numpy())
    assert turned_deg.max() < 5.0 * np.sqrt(3) + 0.1
    assert 3.0 < turned_deg.mean() < 6.5
    assert np.abs(many.translation - start.translation).max() < 1e-3


def test_crop_errors_move_the_head(made: list[SyntheticFace], seen: FaceCode[np.ndarray]) -> None:
    moved = codes(made).translation - np.tile(seen.translation, (2, 1))
    assert moved[:, :2].std() > 2.0
    assert moved[:, 2].std() > 20.0


def test_without_changes_the_photo_stays_around_the_face_and_the_code_is_what_was_seen(
    photos: PhotoCorpus, seen: FaceCode[np.ndarray]
) -> None:
    nothing = BreedingSettings(
        rotation_deg=0.0, shape=0.0, expression=0.0, reflectance=0.0, illumination=0.0, crop_spread=0.0
    )
    maker = BredFaces(photos, NUMBERS, seen, nothing)
    face, drawn = maker.make([1])[0], maker.draw_seen([1])[0]
    assert np.allclose(face.code.pack(), seen[1].pack(), atol=1e-3)
    photo = photos[NUMBERS[1]].crop_srgb
    corners = np.s_[:20, :20], np.s_[:20, -20:]
    for corner in corners:
        assert np.array_equal(drawn.picture_srgb[corner], photo[corner])
    # the same face, lit the same way, drawn over itself: what differs is skin's detail and cast shadows
    assert np.abs(drawn.picture_srgb.astype(int) - photo).mean() < 12


def test_a_bred_face_depends_on_its_number_alone(bred: BredFaces, made: list[SyntheticFace]) -> None:
    again = bred.make([5])[0]
    assert np.allclose(again.code.pack(), made[5].code.pack(), atol=1e-4)
    assert np.abs(again.picture_srgb.astype(int) - made[5].picture_srgb).mean() < 0.5
    assert not np.allclose(made[1].code.pack(), made[5].code.pack())  # another variant of the same photo


def test_a_moved_face_takes_the_photo_along(photos: PhotoCorpus, seen: FaceCode[np.ndarray]) -> None:
    """What is beside the face in the photo is as far from it after the crop was missed."""
    still = dict.fromkeys(("rotation_deg", "shape", "expression", "reflectance", "illumination"), 0.0)
    maker = BredFaces(photos, NUMBERS, seen, BreedingSettings(**still))
    for place in range(4):
        face, photo = maker.make([place])[0], photos[NUMBERS[place]]
        before, after = photo.landmarks_px, face.landmarks_px
        homogeneous = np.concatenate([before, np.ones((478, 1))], axis=1)
        affine = np.linalg.lstsq(homogeneous, after, rcond=None)[0]
        assert np.abs(homogeneous @ affine - after).max() < 1.5
        assert np.abs(after - before).max() > 2.0


def painted_photos(folder: Path, faces: list[SyntheticFace], colour: tuple[int, int, int], point: int) -> PhotoCorpus:
    """A corpus of faces with a spot of a colour, 7 px wide, at one of their landmarks."""
    samples = []
    for number, face in enumerate(faces):
        picture = face.picture_srgb.copy()
        column, row = face.landmarks_px[point].round().astype(int)
        picture[row - 3 : row + 4, column - 3 : column + 4] = colour
        trust = np.ones(478, dtype=np.float32)
        box = FaceBox(30.0, 30.0, 100.0, 100.0, 0.9)
        sample = PhotoSample(picture, face.landmarks_px, trust, np.eye(3), f"{number}.png", (160, 160), box, 0.0)
        samples.append(encode_photo_sample(sample, f"{number:08d}-0"))
    write_corpus_record(folder, CorpusRecord(PHOTOGRAPHS, (write_shard(folder / "photos-000000.tar", samples),)))
    return PhotoCorpus(folder)


@pytest.fixture(scope="module")
def spotted(rendered_photos: tuple[Path, list], tmp_path_factory: pytest.TempPathFactory) -> PhotoCorpus:
    folder = tmp_path_factory.mktemp("spotted")
    return painted_photos(folder, rendered_photos[1], (0, 0, 160), NOSE_TIP)


def blueness(face: SyntheticFace) -> float:
    """Of the picture around the tip of the nose, blue over red."""
    column, row = face.landmarks_px[NOSE_TIP].round().astype(int)
    red, _, blue = face.picture_srgb[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).mean(axis=0)
    return float(blue / max(red, 1.0))


def test_bred_faces_keep_what_the_photo_showed_beyond_the_code(spotted: PhotoCorpus, seen) -> None:
    """A blue spot on the nose goes with the nose, whatever the new pose and crop are."""
    with_detail = BredFaces(spotted, NUMBERS, seen, BreedingSettings(detail_share=1.0)).make(range(4))
    without = BredFaces(spotted, NUMBERS, seen, BreedingSettings(detail_share=0.0)).make(range(4))
    frontal = [item for item in range(4) if abs(float(seen.rotation[item, 1])) < 0.7]
    assert frontal
    for item in frontal:
        assert np.array_equal(with_detail[item].code.pack(), without[item].code.pack())
        assert blueness(with_detail[item]) > 1.3 * blueness(without[item])


def test_the_tone_of_the_skin_stays_the_code_s(photos: PhotoCorpus, seen) -> None:
    """A photo twice as bright as its code says changes no bred face by much: that is for the code to say."""
    (detail,) = SyntheticFaces(SyntheticSettings(border_px=16)).take_details(seen[:1], [photos[NUMBERS[0]].crop_srgb])
    darker = seen[:1].with_light(seen.illumination[:1] / 2)
    (of_darker,) = SyntheticFaces(SyntheticSettings(border_px=16)).take_details(darker, [photos[NUMBERS[0]].crop_srgb])
    skin = load_face_model().regions["face"]
    assert np.abs(detail[skin]).mean() > 0.01
    assert np.abs(of_darker[skin] - detail[skin]).mean() < 0.1 * np.log(2)


def test_a_share_of_the_bred_faces_has_made_up_skin(photos: PhotoCorpus, seen) -> None:
    def share(detail_share: float) -> float:
        made = BredFaces(photos, NUMBERS, seen, BreedingSettings(detail_share=detail_share)).make(range(16))
        plain = BredFaces(photos, NUMBERS, seen, BreedingSettings(detail_share=0.0)).make(range(16))
        pairs = zip(made, plain, strict=True)
        return float(np.mean([not np.array_equal(one.picture_srgb, other.picture_srgb) for one, other in pairs]))

    assert share(1.0) == 1.0
    assert 0.2 < share(0.5) < 0.8


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match="detail_share must lie in"):
        BreedingSettings(detail_share=1.5)


def test_negative_perturbations_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        BreedingSettings(shape=-0.1)
