# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.data.photographs import PhotoCorpus
from facefactor.encode.encoder import Encoder
from facefactor.face.model import load_face_model
from facefactor.train.held_out import HeldOutPhotos, split_numbers

NUMBERS = range(0, 20, 10)


@pytest.mark.parametrize("count", [1, 2, 10, 300])
def test_a_split_leaves_most_to_learn_from(count: int):
    learnt, held_out = split_numbers(count, 64)
    assert sorted(learnt + held_out) == list(range(count))
    assert len(held_out) == min(64, max(1, count // 4))


def test_held_out_photos_are_measured_by_landmarks_and_colours(rendered_photos) -> None:
    (folder, faces), model = rendered_photos, load_face_model()

    class Knowing(torch.nn.Module):
        """Answers the true codes."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, crops_srgb):
            return FaceCode.unpack(torch.from_numpy(np.stack([faces[number].code.pack() for number in NUMBERS])))

    measured = HeldOutPhotos(PhotoCorpus(folder), NUMBERS, model)
    assert measured(Knowing())["photo_landmark_percent"] < 0.02
    assert measured(Encoder().eval())["photo_landmark_percent"] > 3.0
    assert set(measured(Knowing())) == {
        "photo_landmark_percent",
        "photo_landmark_percent_mean",
        "photo_landmark_percent_90",
        "photo_landmark_percent_most",
        "photo_photometric",
    }
    # Rendered with gloss, shadows and photo effects, so that the exact code is not exactly the picture.
    assert measured(Knowing())["photo_photometric"] < 0.7 * measured(Encoder().eval())["photo_photometric"]
