# SPDX-License-Identifier: Apache-2.0
"""`facefactor video` end to end, on clips made of NASA's portrait of Eileen Collins (`skimage.data.astronaut`)."""

import contextlib
import io
import json
import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")
pytest.importorskip("pyarrow", reason="pyarrow (the extra `video`) is not installed")

from pyarrow import parquet

from facefactor.apps import cli, video
from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.video.overlay import FaceOverlay
from facefactor.video.reader import Video

FACE = Image.fromarray(astronaut()[:300, 80:380])
SIZE = (288, 256)
NUM_RESTING, NUM_FRAMES = 20, 50
PATH_PX = np.stack([8 * np.sin(np.maximum(np.arange(NUM_FRAMES) - NUM_RESTING, 0) / 5)] * 2, axis=1) * (1.0, 0.4)
"""Where the head is in each frame: it rests, then sways."""


@dataclass
class Run:
    """What one call of the command answered."""

    exit_code: int
    out: str
    err: str
    folder: Path

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []

    @property
    def report(self) -> dict:
        return json.loads((self.folder / "report.json").read_bytes())

    def table(self) -> dict[str, np.ndarray]:
        columns = parquet.read_table(self.folder / "codes.parquet").to_pydict()
        return {name: np.array(values) for name, values in columns.items()}


def run_command(folder: Path, *arguments: str | Path) -> Run:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        exit_code = cli.main(["video", "--out", str(folder), *map(str, arguments)])
    return Run(exit_code, out.getvalue(), err.getvalue(), folder)


def moved(x_px: float, y_px: float) -> np.ndarray:
    shift = (1, 0, -x_px, 0, 1, -y_px)
    return np.asarray(FACE.transform(SIZE, Image.Transform.AFFINE, shift, Image.Resampling.BICUBIC))


def with_noise(pictures: list[np.ndarray]) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    noisy = (picture + generator.normal(0, 6, picture.shape) for picture in pictures)
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in noisy]


@pytest.fixture(scope="module")
def swaying(tmp_path_factory: pytest.TempPathFactory, write_clip_into) -> Run:
    """The command on a noisy clip of a head on a known path, with sound and uneven times."""
    folder = tmp_path_factory.mktemp("swaying")
    pts = np.cumsum([0, *([33, 40, 47] * NUM_FRAMES)][:NUM_FRAMES]).tolist()
    clip = write_clip_into(
        folder,
        "swaying.mp4",
        with_noise([moved(x, y) for x, y in PATH_PX]),
        pts=pts,
        time_base=Fraction(1, 1000),
        sound="aac",
    )
    return run_command(folder / "out", clip, "--json")


def test_every_file_is_written_and_nothing_else(swaying: Run):
    assert swaying.exit_code == 0, swaying.err
    assert swaying.files == ["codes.parquet", "overlay.mp4", "person-0.csv", "person-0.glb", "report.json"]
    assert json.loads(swaying.out) == swaying.report
    assert len((swaying.folder / "person-0.csv").read_text().splitlines()) == 1 + NUM_FRAMES


def test_jitter_falls_and_nothing_comes_late(swaying: Run):
    person = swaying.report["people"]["person-0"]
    assert person["jitter_px_after"] < 0.6 * person["jitter_px_before"]
    assert abs(person["lag_ms"]) < 0.5 * person["frame_ms"]
    assert person["frame_ms"] == pytest.approx(40)


def test_the_head_follows_its_known_path(swaying: Run):
    table = swaying.table()
    K, t = table["K"].reshape(-1, 3, 3)[0], table["t"]
    origin_px = K[0, 0] * t[:, :2] / -t[:, 2:] * (1, -1) + K[:2, 2]
    offset_px = origin_px - PATH_PX
    offset_px -= offset_px.mean(axis=0)
    assert np.sqrt((offset_px**2).mean()) < 0.8
    assert np.corrcoef(origin_px[:, 0], PATH_PX[:, 0])[0, 1] > 0.99


def test_the_table_has_one_identity_and_the_containers_times(swaying: Run):
    table = swaying.table()
    assert np.ptp(table["shape"], axis=0).max() == np.ptp(table["reflectance_corrective"], axis=0).max() == 0
    assert table["expression"].shape == (NUM_FRAMES, len(EXPRESSION_NAMES))
    np.testing.assert_array_equal(table["frame"], np.arange(NUM_FRAMES))
    np.testing.assert_allclose(np.diff(table["time_s"])[:3], [0.033, 0.040, 0.047], atol=1e-9)
    np.testing.assert_allclose(matrix_from_axis_angle(table["rotation"]), table["R"].reshape(-1, 3, 3), atol=1e-5)


def test_the_overlay_keeps_times_sound_and_all_but_the_face(swaying: Run):
    source, overlay = (Video(path) for path in (swaying.folder.parent / "swaying.mp4", swaying.folder / "overlay.mp4"))
    assert overlay.audio_codecs == ["aac"]
    pairs = list(zip(source.frames(), overlay.frames(), strict=True))
    np.testing.assert_allclose([b.time_s for _, b in pairs], [a.time_s for a, _ in pairs], atol=1e-3)
    difference = np.mean([np.abs(a.photo.srgb.astype(int) - b.photo.srgb) for a, b in pairs[:10]], axis=(0, 3))
    assert difference[90:150, 110:170].mean() > 2 * difference[200:, 200:].mean()
    assert difference[200:, 200:].mean() < 8


def test_the_report_says_where_the_time_went(swaying: Run):
    parts = swaying.report["seconds"]
    assert list(parts) == ["decode", "track", "encode_faces", "smooth", "overlay", "write"]
    assert all(seconds > 0 for seconds in parts.values())
    assert swaying.report["frames_per_second"] == pytest.approx(NUM_FRAMES / swaying.report["passes_s"], rel=0.01)


@pytest.fixture
def without_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the GLBs, which take long to make."""
    monkeypatch.setattr(video, "encode_moving_head", lambda *_: b"a head")


def test_two_people_a_loss_and_a_cut(without_heads, write_clip, tmp_path: Path):
    """The second person is a darker mirror image; the first is covered for a while; then both change sides."""
    first = np.asarray(FACE.crop((50, 20, 250, 220)))
    second = (first[:, ::-1] * (0.55, 0.5, 0.5)).astype(np.uint8)
    covered = first.copy()
    covered[40:150, 40:140] = 128
    pair, lost, swapped = (np.concatenate(p, axis=1) for p in ((first, second), (covered, second), (second, first)))
    run = run_command(tmp_path / "out", write_clip("pair.mp4", [pair] * 8 + [lost] * 6 + [pair] * 10 + [swapped] * 8))
    assert run.exit_code == 0, run.err
    assert (run.report["cuts"], list(run.report["people"])) == (1, ["person-0", "person-1"])
    table = run.table()
    right = table["K"][:, 2] + table["K"][:, 0] * table["t"][:, 0] / -table["t"][:, 2] > 200
    seen = {
        frame: sorted(zip(right[mine].tolist(), table["person"][mine].tolist(), strict=True))
        for frame in (3, 10, 23, 27)
        for mine in [table["frame"] == frame]
    }
    (_, on_the_left), (_, on_the_right) = seen[3]
    assert seen[10] == [(True, on_the_right)]
    assert seen[23] == seen[3]
    assert seen[27] == [(False, on_the_right), (True, on_the_left)]


def test_a_cut_off_video_is_used_as_far_as_it_goes(without_heads, write_clip, tmp_path: Path):
    clip = write_clip("cut.mp4", with_noise([moved(0, 0)] * 12))
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 2 // 3])
    run = run_command(tmp_path / "out", clip)
    assert run.exit_code == 0
    assert 2 <= run.report["frames"] < 12
    assert run.err == f"facefactor: {clip}: is damaged or cut off; {run.report['frames']} frames of it are used\n"


def test_a_cut_off_video_without_a_face_is_said_to_be_cut_off(write_clip, tmp_path: Path):
    noise = np.random.default_rng(0).integers(80, 90, (12, 96, 128, 3), dtype=np.uint8)
    clip = write_clip("wall.mp4", list(noise))
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 2 // 3])
    run = run_command(tmp_path / "out", clip)
    assert (run.exit_code, run.files) == (1, [])
    message = r": no face found in any of (\d+) frames, and it is damaged or cut off; \1 frames of it are used\n"
    assert re.fullmatch(re.escape(f"facefactor: {clip}") + message, run.err)


def test_one_frame_is_enough(without_heads, write_clip, tmp_path: Path):
    run = run_command(tmp_path / "out", write_clip("one.mp4", [moved(0, 0)]))
    assert run.exit_code == 0, run.err
    assert run.report["people"] == {"person-0": {"frames": 1, "tracks": 1, "first_s": 0.0, "last_s": 0.0}}
    assert f"{run.folder / 'overlay.mp4'}" in run.out


def test_what_cannot_be_used_is_one_sentence_and_no_file(write_clip, tmp_path: Path):
    (tmp_path / "text.mp4").write_text("no video")
    faceless = write_clip("wall.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 5)
    for path, cause in (
        (tmp_path / "text.mp4", "is not a video that can be read"),
        (tmp_path / "gone.mp4", "no such file"),
        (faceless, "no face found in any of 5 frames"),
    ):
        run = run_command(tmp_path / "out", path)
        assert (run.exit_code, run.out, run.files) == (1, "", [])
        assert run.err.startswith(f"facefactor: {path}: {cause}")
        assert run.err.count("\n") == 1


def test_an_output_that_cannot_be_written_is_wrong_use(write_clip, tmp_path: Path):
    clip = write_clip("face.mp4", [moved(0, 0)])
    (tmp_path / "file").touch()
    run = run_command(tmp_path / "file", clip)
    assert run.exit_code == 2
    assert "cannot be written to" in run.err


def test_a_missing_install_names_the_extra(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "av", None)
    run = run_command(tmp_path / "out", tmp_path / "a.mp4")
    assert run.exit_code == 2
    assert run.err == "facefactor: this command needs av, which is not installed: pip install 'facefactor[video]'\n"


def test_stopping_leaves_no_file(monkeypatch, write_clip, tmp_path: Path):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    clip = write_clip("face.mp4", [moved(0, 0)] * 5)
    monkeypatch.setattr(FaceOverlay, "draw", stop)
    run = run_command(tmp_path / "out", clip)
    assert (run.exit_code, run.files) == (130, [])
