# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from facefactor.apps.outputs import FacePaths, name_folders


@pytest.mark.parametrize(
    ("photos", "folders"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["x/p.jpg", "y/p.jpg", "p.png"], ["p", "p-2", "p-3"]),
        (["p.jpg", "p.png", "p-2.jpg"], ["p", "p-3", "p-2"]),
        (["P.jpg", "p.jpg"], ["P", "p-2"]),
        (["gr\u00fcn.jpg", "gru\u0308n.jpg"], ["gr\u00fcn", "gru\u0308n-2"]),
        (["a.b.jpg", ".jpg"], ["a.b", ".jpg"]),
        (["...jpg", "..jpg", "....jpg", "photo.jpg", ".."], ["photo", "photo-2", "photo-3", "photo-4", "photo-5"]),
    ],
)
def test_each_photo_of_a_run_has_its_own_folder(photos, folders):
    assert name_folders([Path(photo) for photo in photos]) == folders


def test_a_face_has_three_files_named_by_its_number():
    assert [path.as_posix() for path in FacePaths.of(Path("out/p"), 1)] == [
        "out/p/1.json",
        "out/p/1.glb",
        "out/p/1.png",
    ]
