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
        (["edit", "faces/me/0.json", "--expression", "jawOpen=2", "--out", "x.png"], 2, "weights must lie in [0, 1]"),
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
