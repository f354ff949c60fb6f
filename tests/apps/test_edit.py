# SPDX-License-Identifier: Apache-2.0
"""`facefactor relight` and `facefactor edit` end to end, on the astronaut."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, rocket

from facefactor.apps.cli import main

PHOTO = astronaut()[:330, 60:390]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photo me.png with its face, faces/me/0.json."""
    folder = tmp_path_factory.mktemp("edit")
    Image.fromarray(PHOTO).save(folder / "me.png")
    assert main(["reconstruct", str(folder / "me.png"), "--out", str(folder / "faces")]) == 0
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def changed(path: Path) -> np.ndarray:
    return np.abs(np.asarray(Image.open(path)).astype(int) - PHOTO).max(axis=2) > 3


def test_a_photo_is_relit(folder, tmp_path, capsys):
    assert run("relight", folder / "me.png", "--light", "60,20", "--out", tmp_path / "lit.png") == 0
    assert capsys.readouterr().out.strip().endswith("lit.png")
    assert 0.05 < changed(tmp_path / "lit.png").mean() < 0.6


def test_every_face_of_a_photo_is_relit(tmp_path):
    Image.fromarray(np.concatenate((PHOTO, PHOTO), axis=1)).save(tmp_path / "two.png")
    for which in ("largest", "all"):
        arguments = ("--light", "right", "--faces", which, "--out", tmp_path / f"{which}.png")
        assert run("relight", tmp_path / "two.png", *arguments) == 0
    two = np.concatenate((PHOTO, PHOTO), axis=1)
    both, one = (
        np.abs(np.asarray(Image.open(tmp_path / f"{which}.png")).astype(int) - two).max(axis=2) > 3
        for which in ("all", "largest")
    )
    assert min(both[:, :330].mean(), both[:, 330:].mean()) > 0.05
    assert min(one[:, :330].mean(), one[:, 330:].mean()) < 0.02


def test_a_face_is_edited_in_its_photo(folder, tmp_path):
    face, out = (
        folder / "faces" / "me" / "0.json",
        [tmp_path / f"new.{suffix}" for suffix in ("png", "json", "glb", "obj")],
    )
    arguments = ["--expression", "jawOpen=0.7", "browInnerUp=0.5", "--shape", "0=1.5", "--light", "left"]
    assert run("edit", face, *arguments, *(word for path in out for word in ("--out", path))) == 0
    written = json.loads(out[1].read_text())
    assert (written["expression"]["jawOpen"], written["shape"][0]) == (0.7, 1.5)
    assert 0.05 < changed(out[0]).mean() < 0.6
    assert out[2].read_bytes()[:4] == b"glTF"
    assert (tmp_path / "new_albedo.png").exists()
    assert run("edit", face, "--reflectance-from", out[1], "--shape-from", out[1], "--out", tmp_path / "swap.png") == 0


def test_options_add_up_and_nothing_is_written_unless_all_is(folder, tmp_path, capsys):
    face, out = folder / "faces" / "me" / "0.json", tmp_path / "new.json"
    twice = ("--expression", "jawOpen=0.7", "--expression", "jawLeft=0.2", "--shape", "3=1", "--shape", "4=-1")
    assert run("edit", face, *twice, "--out", out) == 0
    written = json.loads(out.read_text())
    assert (written["expression"]["jawOpen"], written["expression"]["jawLeft"]) == (0.7, 0.2)
    assert (written["shape"][3], written["shape"][4]) == (1.0, -1.0)
    assert run("edit", face, "--out", tmp_path / "a.png", "--out", "/proc/none/b.png") == 2
    assert run("edit", face, "--out", tmp_path / "a_albedo.png", "--out", tmp_path / "a.obj") == 2
    assert "is written twice" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]


def test_what_is_not_changed_is_not_said_to_be(folder, tmp_path):
    face, out = folder / "faces" / "me" / "0.json", tmp_path / "same.json"
    assert run("edit", face, "--out", out) == 0
    assert out.read_bytes() == face.read_bytes()
    assert run("edit", face, "--light", "left", "--out", out) == 0
    assert list(json.loads(out.read_text())["seen"]) == ["illumination"]


def test_a_transparent_photo_stays_transparent(folder, tmp_path):
    alpha = np.full(PHOTO.shape[:2], 255, np.uint8)
    alpha[:40], alpha[40:60] = 0, 128
    Image.fromarray(np.dstack((PHOTO, alpha))).save(tmp_path / "cut.png")
    assert run("relight", tmp_path / "cut.png", "--light", "left", "--out", tmp_path / "lit.png") == 0
    lit = np.asarray(Image.open(tmp_path / "lit.png"))
    np.testing.assert_array_equal(lit[..., 3], alpha)
    wall = np.abs(lit[45:55, :20, :3].astype(int) - PHOTO[45:55, :20])  # half transparent, far from the head
    assert wall.max() <= 2


def test_an_edited_face_that_was_saved_is_edited_further(folder, tmp_path):
    face, opened = folder / "faces" / "me" / "0.json", tmp_path / "opened.json"
    assert run("edit", face, "--expression", "jawOpen=0.7", "--light", "left", "--out", opened) == 0
    pictures = {name: tmp_path / f"{name}.png" for name in ("at_once", "later", "back")}
    blink = ("--expression", "eyeBlinkLeft=0.9")
    both = ("--expression", "jawOpen=0.7", "eyeBlinkLeft=0.9", "--light", "left")
    assert run("edit", face, *both, "--out", pictures["at_once"]) == 0
    assert run("edit", opened, "--photo", folder / "me.png", *blink, "--out", pictures["later"]) == 0
    at_once, later = (np.asarray(Image.open(pictures[name])).astype(int) for name in ("at_once", "later"))
    assert np.abs(at_once - PHOTO).max() > 40
    assert np.abs(later - at_once).max() <= 2
    seen = json.loads(opened.read_text())["seen"]
    assert set(seen) == {"expression", "illumination", "landmarks_68_px"}
    assert seen["expression"] == json.loads(face.read_text())["expression"]


def test_a_face_whose_photo_is_gone_is_drawn_alone(folder, tmp_path, capsys):
    face = tmp_path / "far" / "0.json"
    face.parent.mkdir()
    face.write_bytes((folder / "faces" / "me" / "0.json").read_bytes())
    assert run("edit", face, "--out", tmp_path / "alone.png") == 0
    assert "me.png is not found" in capsys.readouterr().err
    assert run("edit", face, "--photo", folder / "me.png", "--out", tmp_path / "placed.png") == 0
    assert not changed(tmp_path / "placed.png").any()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["relight", "me.png", "--light", "moon", "--out", "x.png"], 2, "--light 'moon' is no light"),
        (["relight", "me.png", "--light", "sky.hdr", "--out", "x.png"], 2, "sky.hdr: "),
        (["relight", "none.png", "--light", "left", "--out", "x.png"], 1, "none.png: no such file"),
        (["relight", "rocket.png", "--light", "left", "--out", "x.png"], 1, "rocket.png"),
        (["relight", "me.png", "--light", "left", "--out", "x.bmp"], 2, "--out x.bmp: its name must end in .png"),
        (["edit", "none.json", "--out", "x.png"], 2, "none.json: cannot be read"),
        (
            ["edit", "faces/me/0.json", "--expression", "smile=1", "--out", "x.png"],
            2,
            "no expression is called 'smile'",
        ),
        (["edit", "faces/me/0.json", "--expression", "jawOpen", "--out", "x.png"], 2, "'jawOpen' is not NAME=VALUE"),
        (
            ["edit", "faces/me/0.json", "--expression", "jawOpen=2", "--out", "x.png"],
            2,
            "jawOpen must be in [0, 1], got 2",
        ),
        (["edit", "faces/me/0.json", "--expression", "jawOpn=1", "--out", "x.png"], 2, "'jawOpn': there is jawOpen"),
        (["edit", "faces/me/0.json", "--turn", "90", "--out", "x.png"], 2, "--turn is about a light"),
        (["edit", "faces/me/0.json", "--shape", "81=1", "--out", "x.png"], 2, "numbered 0 to 79"),
        (["edit", "faces/me/0.json", "--shape", "a=1", "--out", "x.png"], 2, "'a' is no number of a shape coefficient"),
        (["edit", "me.png", "--out", "x.png"], 2, "me.png: not a JSON file"),
    ],
)
def test_what_cannot_be_done_costs_one_sentence(folder, tmp_path, monkeypatch, capsys, arguments, code, message):
    if not (folder / "rocket.png").exists():
        Image.fromarray(rocket()).save(folder / "rocket.png")
    monkeypatch.chdir(folder)
    assert run(*arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (folder / arguments[-1]).exists()
