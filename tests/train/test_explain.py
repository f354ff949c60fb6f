# SPDX-License-Identifier: Apache-2.0
"""Explaining photos by face codes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.data.photographs import PhotoCorpus
from facefactor.encode.encoder import Encoder
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.model import load_face_model
from facefactor.losses.model_space import rotation_distance
from facefactor.train.explain import OUTLIER, Explanation, PhotoExplainer, join_explanations

NUMBERS = list(range(2, 12))


@pytest.fixture(scope="module")
def photos(rendered_photos: tuple[Path, list]) -> PhotoCorpus:
    return PhotoCorpus(rendered_photos[0])


def explain(photos: PhotoCorpus, polish: bool) -> Explanation:
    explainer = PhotoExplainer(load_face_model(), polish)
    return join_explanations(list(explainer.explain(Encoder().eval(), photos, NUMBERS)))


@pytest.fixture(scope="module")
def polished(photos: PhotoCorpus) -> Explanation:
    return explain(photos, polish=True)


def some_explanation(count: int) -> Explanation:
    code = FaceCode.neutral((count,))
    return Explanation(np.arange(count), code, code, np.ones(count), np.full(count, 0.05))


def test_the_steps_find_the_faces_of_rendered_photos(
    photos: PhotoCorpus, polished: Explanation, rendered_photos: tuple[Path, list]
) -> None:
    plain = explain(photos, polish=False)
    assert np.array_equal(plain.explained.pack(), plain.answered.pack())
    assert np.array_equal(polished.answered.pack(), plain.answered.pack())
    # an untrained network answers the mean face; the photos' landmarks are exact
    assert np.median(polished.landmark_percent) < 0.15 * np.median(plain.landmark_percent)
    assert np.median(polished.photometric) < 0.7 * np.median(plain.photometric)
    truth = np.stack([rendered_photos[1][number].code.rotation for number in NUMBERS])
    turned = rotation_distance(torch.from_numpy(polished.explained.rotation), torch.from_numpy(truth)).sqrt()
    assert np.degrees(float(turned.median())) < 3.0


def test_photos_far_off_the_others_are_left_out() -> None:
    explanation = some_explanation(5)
    explanation.landmark_percent[1] = OUTLIER + 0.1
    explanation.photometric[3] = 0.05 * (OUTLIER + 0.1)
    good = explanation.take(explanation.is_good())
    assert good.numbers.tolist() == [0, 2, 4]
    assert len(good) == 3
    assert good.explained.batch_shape == (3,)


def test_an_explanation_comes_back_from_its_file(polished: Explanation, tmp_path: Path) -> None:
    polished.write(tmp_path / "explained.safetensors")
    back = Explanation.read(tmp_path / "explained.safetensors")
    for name in ("numbers", "landmark_percent", "photometric"):
        assert np.array_equal(getattr(back, name), getattr(polished, name))
    assert np.array_equal(back.explained.pack(), polished.explained.pack())
    assert np.array_equal(back.answered.pack(), polished.answered.pack())


def test_what_is_no_explanation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="no such file"):
        Explanation.read(tmp_path / "none.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(IncompatibleCode, match="holds no explained photos"):
        Explanation.read(tmp_path / "junk.safetensors")


def test_parts_are_laid_end_to_end() -> None:
    first, second = some_explanation(2), replace(some_explanation(3), numbers=np.array([7, 8, 9]))
    joined = join_explanations([first, second])
    assert joined.numbers.tolist() == [0, 1, 7, 8, 9]
    assert joined.explained.batch_shape == (5,)
