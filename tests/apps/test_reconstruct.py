# SPDX-License-Identifier: Apache-2.0
"""`facefactor reconstruct` end to end: every kind of file a person has, its output, its messages, its exit codes.

The photo is NASA's portrait of Eileen Collins (`skimage.data.astronaut`, public domain). Where only the files and
messages matter the engine is a stand-in that answers the mean face.
"""

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, rocket

from facefactor.apps import cli, engines, reconstruct, reconstruction
from facefactor.code.face_code import FaceCode
from facefactor.errors import OutputUnwritable
from facefactor.face.model import load_face_model
from facefactor.photo.mediapipe_landmarks import MediaPipeLandmarks

pytest.importorskip("mediapipe", reason="mediapipe (the extra `prepare`) is not installed")

FACE = Image.fromarray(astronaut()[:330, 60:390])
"""The astronaut's head and shoulders; the face is about 100 px."""
EXIF_ORIENTATION = 0x0112
UPRIGHT_TO_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that writes each EXIF orientation stores an upright picture."""


class MeanFaceEngine:
    """Stands in for any engine: the mean face at the nominal distance."""

    name, weights_hash, model = "mean", None, load_face_model()

    def describe(self, face: object) -> FaceCode[np.ndarray]:
        return FaceCode.neutral()


@dataclass
class Run:
    """What one call of the command answered."""

    exit_code: int
    out: str
    err: str
    folder: Path
    files: list[str] = field(init=False)

    def __post_init__(self) -> None:
        found = self.folder.rglob("*") if self.folder.is_dir() else ()
        self.files = sorted(path.relative_to(self.folder).as_posix() for path in found if path.is_file())

    def record(self, name: str, face: int = 0) -> dict:
        return json.loads((self.folder / name / f"{face}.json").read_bytes())


def run_command(folder: Path, *arguments: str | Path) -> Run:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        exit_code = cli.main(["reconstruct", "--out", str(folder), *map(str, arguments)])
    return Run(exit_code, out.getvalue(), err.getvalue(), folder)


def three_files(name: str, *faces: int) -> list[str]:
    return sorted(f"{name}/{face}.{kind}" for face in faces or (0,) for kind in ("glb", "json", "png"))


@pytest.fixture(scope="module")
def landmark_detector() -> MediaPipeLandmarks:
    return MediaPipeLandmarks()


@pytest.fixture(scope="module")
def quick(landmark_detector) -> Iterator[None]:
    """Replace what takes long: the engine, the pictures, the texture and the GLB; and start MediaPipe once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruct, "open_engine", lambda name, model, refine, learned: MeanFaceEngine())
        patch.setattr(reconstruction, "open_landmark_detector", lambda: landmark_detector)
        patch.setattr(reconstruction, "render_views", lambda face, K, crop_srgb: [crop_srgb] * 7)
        patch.setattr(reconstruction.PhotoTexture, "paint", lambda *_: np.zeros((1, 1, 3), np.uint8))
        patch.setattr(reconstruct, "encode_glb", lambda mesh: b"a mesh")
        yield


def on_canvas(face: Image.Image, width: int, height: int, x: int, y: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height), (120, 130, 140))
    canvas.paste(face, (x, y))
    return canvas


def save_all_kinds(folder: Path) -> None:
    """One file of each kind; the names are those of the table below."""
    alpha = Image.fromarray(np.tile(np.linspace(60, 255, FACE.width).astype(np.uint8), (FACE.height, 1)))
    rgba = FACE.copy()
    rgba.putalpha(alpha)
    rgba.save(folder / "rgba.png")
    FACE.quantize(128).save(folder / "palette.png")
    FACE.convert("L").save(folder / "grey.jpg")
    Image.fromarray(np.asarray(FACE.convert("L")).astype(np.uint16) * 257).save(folder / "sixteen bits.png")
    FACE.convert("CMYK").save(folder / "cmyk.jpg")
    FACE.save(folder / "web.webp")
    FACE.save(folder / "Gesicht-ä-顔 🙂.png")
    on_canvas(FACE.resize((100, 100)), 500, 400, 330, 40).save(folder / "thirty pixels.png")
    for orientation in range(1, 9):
        stored = FACE.transpose(UPRIGHT_TO_STORED[orientation]) if orientation > 1 else FACE
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        stored.save(folder / f"exif{orientation}.png", exif=exif)
    for name in ("a", "b"):
        (folder / name).mkdir()
        FACE.save(folder / name / "same.png")
    FACE.save(folder / "same.jpg")
    FACE.save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("this is no picture\n")
    (folder / "empty.jpg").touch()
    Image.new("RGB", (1, 1)).save(folder / "one pixel.png")
    Image.fromarray(rocket()).save(folder / "no face.jpg")
    (folder / "a folder").mkdir()


GOOD = (
    *("rgba.png", "palette.png", "grey.jpg", "sixteen bits.png", "cmyk.jpg", "web.webp", "Gesicht-ä-顔 🙂.png"),
    *("thirty pixels.png", *(f"exif{orientation}.png" for orientation in range(1, 9))),
)
SAME = ("a/same.png", "b/same.png", "same.jpg")
BAD = {
    "truncated.jpg": "is damaged or incomplete",
    "text.jpg": "is not an image in a format that can be read",
    "empty.jpg": "is empty",
    "one pixel.png": "no face found",
    "no face.jpg": "no face found",
    "missing.jpg": "no such file",
    "a folder": "is a folder; name the photos in it",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    save_all_kinds(folder)
    return folder


@pytest.fixture(scope="module")
def table_run(quick, photos, tmp_path_factory) -> Run:
    """One run over the whole table, good and bad mixed."""
    names = [*GOOD[:3], *BAD, *GOOD[3:], *SAME]
    return run_command(tmp_path_factory.mktemp("table") / "out", *(photos / name for name in names))


def test_a_run_with_failures_does_all_good_photos_and_exits_with_one(table_run):
    assert table_run.exit_code == 1
    folders = [Path(name).stem for name in GOOD] + ["same", "same-2", "same-3"]
    assert table_run.files == sorted(file for folder in folders for file in three_files(folder))


@pytest.mark.parametrize("name", GOOD)
def test_a_photo_of_any_kind_gets_its_three_files(table_run, photos, name):
    folder = Path(name).stem
    files = " ".join(str(table_run.folder / folder / f"0.{kind}") for kind in ("json", "glb", "png"))
    assert f"{photos / name} → {files} (" in table_run.out
    record = table_run.record(folder)
    points = np.array(record["landmarks_68_px"])
    assert (points > 0).all()
    assert (points < (record["photo"]["width"], record["photo"]["height"])).all()


@pytest.mark.parametrize("name", GOOD[:7])
def test_every_kind_of_the_same_picture_gives_the_same_face(table_run, name):
    error_px = np.subtract(table_run.record(Path(name).stem)["landmarks_68_px"], exif_landmarks(table_run, 1))
    assert np.linalg.norm(error_px, axis=1).mean() < 3.0  # grey, palette and JPEG shift the detector's points a little


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photo_stored_in_any_orientation_gives_exactly_the_upright_face(table_run, orientation):
    np.testing.assert_array_equal(exif_landmarks(table_run, orientation), exif_landmarks(table_run, 1))


def exif_landmarks(run: Run, orientation: int) -> np.ndarray:
    return np.array(run.record(f"exif{orientation}")["landmarks_68_px"])


@pytest.mark.parametrize(("name", "cause"), BAD.items())
def test_a_bad_photo_costs_one_line_that_names_it_and_its_cause(table_run, photos, name, cause):
    lines = [line for line in table_run.err.splitlines() if str(photos / name) in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"facefactor: {photos / name}: {cause}")


def test_nothing_else_is_said(table_run):
    assert len(table_run.err.splitlines()) == len(BAD)
    assert len(table_run.out.splitlines()) == len(GOOD) + len(SAME)


def test_a_small_face_is_found_where_it_is(table_run):
    box = table_run.record("thirty pixels")["face_box_px"]
    assert 20 < np.sqrt(box["width"] * box["height"]) < 45
    assert 330 < box["x"] < 430


def test_two_faces_give_two_numbers_and_without_all_only_the_first(quick, tmp_path):
    pair = on_canvas(FACE, 900, 340, 0, 0)
    pair.paste(FACE.resize((260, 260)), (600, 40))
    pair.save(tmp_path / "pair.png")
    every = run_command(tmp_path / "all", tmp_path / "pair.png", "--faces", "all", "--json")
    assert (every.exit_code, every.err, every.files) == (0, "", three_files("pair", 0, 1))
    assert [json.loads(line)["face"] for line in every.out.splitlines()] == [0, 1]
    assert json.loads(every.out.splitlines()[1])["glb"] == str(tmp_path / "all" / "pair" / "1.glb")
    centres = [np.mean(every.record("pair", face)["landmarks_68_px"], axis=0)[0] for face in (0, 1)]
    assert centres[0] < 450 < centres[1]
    assert run_command(tmp_path / "one", tmp_path / "pair.png").files == three_files("pair")


def test_an_output_that_cannot_be_written_stops_the_run_before_any_work(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(reconstruct, "reconstruct_file", lambda *_: pytest.fail("a photo was read"))
    (tmp_path / "file").touch()
    run = run_command(tmp_path / "file" / "out", photos / "whole.jpg")
    assert (run.exit_code, run.out, len(run.err.splitlines())) == (2, "", 1)
    assert f"{tmp_path / 'file' / 'out'}: cannot be written to" in run.err


def test_a_face_that_cannot_be_written_stops_the_run(quick, photos, tmp_path):
    (tmp_path / "whole").touch()  # where the photo's folder should be
    run = run_command(tmp_path, photos / "whole.jpg")
    assert (run.exit_code, run.out, len(run.err.splitlines())) == (2, "", 1)
    assert run.files == ["whole"]


def test_stopping_leaves_whole_faces_only(quick, photos, tmp_path, monkeypatch):
    encode, calls = reconstruct.encode_face_record, []

    def stop_at_the_second(record) -> bytes:
        calls.append(record)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(record)

    monkeypatch.setattr(reconstruct, "encode_face_record", stop_at_the_second)
    run = run_command(tmp_path / "out", photos / "whole.jpg", photos / "cmyk.jpg", photos / "grey.jpg")
    assert (run.exit_code, run.err) == (130, "facefactor: stopped\n")
    assert run.files == three_files("whole")


def test_a_missing_install_is_one_line_with_the_command(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(reconstruct, "open_engine", engines.open_engine)
    monkeypatch.setattr(reconstruction, "open_landmark_detector", engines.open_landmark_detector)
    run = run_command(tmp_path / "out", photos / "whole.jpg", "--engine", "fit")
    assert (run.exit_code, len(run.err.splitlines()), run.files) == (2, 1, [])
    assert "pip install 'facefactor[train]'" in run.err


@pytest.mark.parametrize(
    "change",
    [
        {"shape": np.full(80, np.nan, np.float32)},
        {"shape": np.full(80, 21.0, np.float32)},
        {"illumination": np.full((9, 3), 9000.0, np.float32)},
        {"translation": np.array([0.0, 0.0, 1000.0], np.float32)},
    ],
)
def test_an_answer_that_no_record_can_hold_fails_the_photo(quick, photos, tmp_path, monkeypatch, change):
    monkeypatch.setattr(MeanFaceEngine, "describe", lambda *_: replace(FaceCode.neutral(), **change))
    run = run_command(tmp_path / "out", photos / "whole.jpg")
    assert (run.exit_code, run.files) == (1, [])
    cause = "the engine came to no plausible answer for the face found"
    assert run.err == f"facefactor: {photos / 'whole.jpg'}: {cause}\n"


def test_refining_goes_on_from_the_engines_answer(photos, tmp_path, monkeypatch):
    opened = []

    def open_engine(name, model, refine, learned):
        opened.append((name, refine))
        return MeanFaceEngine()

    monkeypatch.setattr(reconstruct, "open_engine", open_engine)
    run = run_command(tmp_path / "out", photos / "whole.jpg", "--engine", "inverse-round0", "--refine")
    assert (run.exit_code, opened) == (0, [("inverse-round0", True)])


def test_a_photo_of_108_megapixels_is_done(quick, tmp_path):
    on_canvas(FACE.resize((3300, 3300)), 12000, 9000, 7000, 3000).save(tmp_path / "large.jpg")
    run = run_command(tmp_path / "out", tmp_path / "large.jpg")
    assert (run.exit_code, run.files) == (0, three_files("large"))
    assert 7000 < np.mean(run.record("large")["landmarks_68_px"], axis=0)[0] < 10300


def test_writing_reports_what_cannot_be_written(quick, photos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritable):
        reconstruct.reconstruct_file(
            reconstruction.Reconstructor(engine=MeanFaceEngine()),
            photos / "whole.jpg",
            tmp_path / "file" / "p",
            "largest",
        )
