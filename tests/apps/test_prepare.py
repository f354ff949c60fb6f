# SPDX-License-Identifier: Apache-2.0
"""Folders of photos to a corpus: what is found, kept, counted, and continued after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, brick

from facefactor.apps import cli, prepare
from facefactor.apps.prepare import Outcome, PhotoFile, Settings, Task, list_photos, sample_photo
from facefactor.data.crops import mean_landmarks_mm
from facefactor.data.photo_sample import decode_photo_sample
from facefactor.data.shards import Corpus, Sample, read_corpus_record
from facefactor.errors import AssetMissing, FaceError, OutputUnwritable
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import NUM_LANDMARKS, Landmarks
from facefactor.photo.read import Photo

RUN_PREPARE = """
import sys
from pathlib import Path
from facefactor.apps.prepare import Settings, prepare
if __name__ == "__main__":
    prepare([Path(sys.argv[1])], Path(sys.argv[2]), Settings(samples_per_shard=3), int(sys.argv[3]))
"""
FACE = np.s_[:256, 96:352]
"""Where the astronaut's face is."""


class MeanFaceInEveryBox:
    """A landmark detector that lays the mean face into the box."""

    def detect(self, photo: Photo, box: FaceBox) -> Landmarks:
        scale = np.sqrt(box.area_px2) / 170
        points_px = mean_landmarks_mm()[:, :2] * (scale, -scale) + box.centre_px - (0, 0.1 * box.height)
        return Landmarks(points_px, np.ones(NUM_LANDMARKS))


def save(path: Path, pixels: np.ndarray) -> PhotoFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return PhotoFile(path, path.name)


def outcome_of(photo: PhotoFile, **settings) -> Outcome:
    return sample_photo(Task(7, photo, Settings(**settings)), MeanFaceInEveryBox())


@pytest.fixture
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace the workers: photo n gives n % 3 samples, and is grey when that is none. Notes the photos' numbers."""
    worked: list[int] = []

    def answer(task: Task) -> Outcome:
        worked.append(task.number)
        samples = tuple(Sample(f"{task.number}-{k}", {"json": b"{}"}) for k in range(task.number % 3))
        return Outcome(task.photo, samples, () if samples else ("grey",))

    def map_in_order(function, items, jobs, start):
        assert (function, start.func, start.args) == (prepare.prepare_photo, prepare.start_worker, ("network",))
        yield from map(answer, items)

    monkeypatch.setattr(prepare, "map_in_order", map_in_order)
    return worked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven files called photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(11):
        (photos / f"{number:02d}.jpg").write_bytes(b"photo")
    return photos


def test_a_photo_gives_its_face_with_the_way_back(tmp_path: Path) -> None:
    outcome = outcome_of(save(tmp_path / "ä b.png", astronaut()))
    assert outcome.rejected == ()
    (encoded,) = outcome.samples
    assert encoded.key == "00000007-0"
    sample = decode_photo_sample(encoded)
    assert sample.photo == "ä b.png"
    assert sample.photo_size_px == (512, 512)
    assert abs(sample.yaw_deg) < 1
    assert 100 < sample.face_box.x < 250
    assert 80 < sample.face_box.width < 180


def test_all_faces_are_cut_out_and_judged_apart(tmp_path: Path) -> None:
    pair = np.concatenate((astronaut()[FACE], astronaut()[FACE]), axis=1)
    pair[:, :256] = pair[:, :256].mean(axis=2, keepdims=True)
    outcome = outcome_of(save(tmp_path / "pair.png", pair), faces="all")
    assert outcome.rejected == ("grey",)
    assert len(outcome.samples) == 1
    assert decode_photo_sample(outcome.samples[0]).face_box.x > 256


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.stack([brick()] * 3, axis=2), "no_face"),
        (astronaut()[FACE][::4, ::4], "too_small"),
        (np.repeat(astronaut()[FACE].mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8), "grey"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, pixels: np.ndarray, reason: str) -> None:
    photo = save(tmp_path / "a.png", pixels)
    assert outcome_of(photo) == Outcome(photo, (), (reason,))


def test_a_file_that_is_no_photo_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    for name in ("a.jpg", "gone.jpg"):
        photo = PhotoFile(tmp_path / name, name)
        assert outcome_of(photo) == Outcome(photo, (), ("unreadable",))


def test_a_smaller_limit_keeps_smaller_faces(tmp_path: Path) -> None:
    assert outcome_of(save(tmp_path / "a.png", astronaut()[FACE][::2, ::2]), min_face_px=30).samples


def test_folders_are_searched_and_each_photo_is_taken_once(tmp_path: Path) -> None:
    for name in ("b.JPG", "a b.png", "sub/ö.webp", "notes.txt", "sub/deep/c.jpeg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "named.dat").touch()
    sources = [tmp_path / "named.dat", tmp_path / "in", tmp_path / "in" / "b.JPG"]
    assert [photo.name for photo in list_photos(sources)] == [
        "named.dat", "in/a b.png", "in/b.JPG", "in/sub/deep/c.jpeg", "in/sub/ö.webp",
    ]  # fmt: skip


def test_the_current_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "a.jpg").touch()
    monkeypatch.chdir(tmp_path / "holiday")
    assert list_photos([Path(".")]) == [PhotoFile(Path("a.jpg"), "holiday/a.jpg")]


def test_a_link_that_leads_nowhere_is_an_unreadable_photo(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    (photo,) = list_photos([tmp_path])
    assert outcome_of(photo).rejected == ("unreadable",)
    assert prepare._digest([photo])


def test_a_source_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="gone: no such file or folder"):
        list_photos([tmp_path, tmp_path / "gone"])


def test_a_folder_without_photos_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="there are no photos in it"):
        list_photos([tmp_path])


def test_shards_are_closed_with_the_photo_that_fills_them(one_after_the_other, folder: Path, tmp_path: Path) -> None:
    record = prepare.prepare([folder], tmp_path / "out", Settings(samples_per_shard=4), jobs=1)
    assert [shard.samples for shard in record.shards] == [4, 5, 1]  # photos 0-4: 0+1+2+0+1, 5-8: 2+0+1+2, 9-10: 0+1
    assert record.complete
    assert record.rejected == {"grey": 4}
    assert record.progress["photos_done"] == record.progress["photos"] == 11
    assert read_corpus_record(tmp_path / "out") == record
    assert len(list(Corpus(tmp_path / "out"))) == record.samples


def test_a_finished_corpus_is_left_alone(one_after_the_other, folder: Path, tmp_path: Path) -> None:
    settings = Settings(samples_per_shard=4)
    first = prepare.prepare([folder], tmp_path / "out", settings, jobs=1)
    del one_after_the_other[:]
    assert prepare.prepare([folder], tmp_path / "out", settings, jobs=1) == first
    assert one_after_the_other == []


def test_a_stopped_run_goes_on_after_its_last_shard(
    one_after_the_other, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(samples_per_shard=4)
    prepare.prepare([folder], tmp_path / "whole", settings, jobs=1)

    def stop_late(self, done: int, remark: str) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(prepare.Progress, "show", stop_late)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare([folder], tmp_path / "out", settings, jobs=1)
    assert len(Corpus(tmp_path / "out")) == 4
    del one_after_the_other[:]
    prepare.prepare([folder], tmp_path / "out", settings, jobs=1)
    assert one_after_the_other == [5, 6, 7, 8, 9, 10]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "named"),
    [({"min_face_px": 10}, "min_face_px"), ({"faces": "all", "samples_per_shard": 9}, "faces, samples_per_shard")],
)
def test_a_corpus_of_other_settings_is_not_continued(
    one_after_the_other, folder: Path, tmp_path: Path, change: dict, named: str
) -> None:
    prepare.prepare([folder], tmp_path / "out", Settings(), jobs=1)
    with pytest.raises(FaceError, match=f"holds a corpus with other {named}: name another folder"):
        prepare.prepare([folder], tmp_path / "out", replace(Settings(), **change), jobs=1)


def test_a_corpus_of_other_photos_is_not_continued(one_after_the_other, folder: Path, tmp_path: Path) -> None:
    prepare.prepare([folder], tmp_path / "out", Settings(), jobs=1)
    (folder / "05.jpg").write_bytes(b"another photo")
    with pytest.raises(FaceError, match="holds a corpus with other photos"):
        prepare.prepare([folder], tmp_path / "out", Settings(), jobs=1)


def test_a_corpus_that_cannot_be_written_stops_before_the_work(
    one_after_the_other, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputUnwritable):
        prepare.prepare([folder], folder / "00.jpg" / "out", Settings(), jobs=1)
    assert one_after_the_other == []


def test_the_command_prints_its_counts(one_after_the_other, folder: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(["prepare", str(folder), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out'}: 10 faces of 11 photos, shards: 1\n  4 rejected: grey\n"
    assert captured.err == ""


def test_verbose_names_every_photo_that_is_left_out(
    one_after_the_other, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert cli.main(["-v", "prepare", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder / f'{number:02d}.jpg'}: grey" for number in (0, 3, 6, 9)
    ]


def test_without_mediapipe_the_extra_is_named(folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    command = ["prepare", str(folder), "--out", str(tmp_path / "out"), "--landmarks", "mediapipe"]
    assert cli.main(command) == 2
    assert "pip install 'facefactor[prepare]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_usable_photo_is_exit_code_one(one_after_the_other, folder: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(["prepare", str(folder / "00.jpg"), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "facefactor: no photo could be used\n"


def test_a_wrong_source_is_exit_code_two(tmp_path: Path, capsys) -> None:
    assert cli.main(["prepare", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 2
    assert "gone: no such file or folder" in capsys.readouterr().err


def test_the_command_s_default_is_the_settings() -> None:
    options = cli.parse_arguments(["prepare", "photos", "--out", "out"])
    default = Settings().faces, Settings().min_face_px, Settings().landmarks
    assert (options.faces, options.min_face, options.landmarks, options.jobs) == (*default, None)


def test_a_killed_run_is_resumed_to_the_same_bytes_with_any_number_of_jobs(tmp_path: Path) -> None:
    photos, count = tmp_path / "many photos", 28  # enough to be killed before the last
    for number in range(count):
        save(photos / f"{number}.png", astronaut()[number : number + 256, 96 + number : 352 + number])
    (photos / "broken.jpg").write_bytes(b"no picture")

    def start(out: str, jobs: int) -> subprocess.Popen:
        command = [sys.executable, "-c", RUN_PREPARE, str(photos), str(tmp_path / out), str(jobs)]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)  # Python warns of a killed run's semaphores

    killed = start("out", 2)
    wait_until(lambda: (tmp_path / "out" / "corpus.json").exists(), killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    record = read_corpus_record(tmp_path / "out")
    assert not record.complete
    finished = (tmp_path / "out" / record.shards[0].name).stat().st_mtime_ns
    (tmp_path / "out" / ".facefactor-0123.partial").write_bytes(b"half a shard")

    assert start("out", 2).wait() == 0
    assert start("whole", 1).wait() == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert (tmp_path / "out" / record.shards[0].name).stat().st_mtime_ns == finished
    corpus = Corpus(tmp_path / "out")
    assert [shard.samples for shard in corpus.record.shards] == [3] * 9 + [1]
    assert corpus.record.rejected == {"unreadable": 1}
    names = sorted(f"{number}.png" for number in range(count))
    assert [decode_photo_sample(sample).photo for sample in corpus] == [f"many photos/{name}" for name in names]


def test_ctrl_c_ends_in_one_line(tmp_path: Path) -> None:
    for number in range(60):
        save(tmp_path / "photos" / f"{number}.png", astronaut()[FACE])
    command = [sys.executable, "-m", "facefactor.apps.cli", "prepare", "photos", "--out", "out", "--jobs", "2"]
    stopped = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: (tmp_path / "out").exists(), stopped)
    time.sleep(1.0)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: to the workers too
    assert (stopped.communicate(timeout=60)[1], stopped.returncode) == ("facefactor: stopped\n", 130)


def wait_until(is_reached, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not is_reached():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def contents(folder: Path) -> dict[str, bytes | dict]:
    """Every file of a folder; of corpus.json what it says."""
    return {
        path.name: json.loads(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()
        for path in sorted(folder.iterdir())
    }
