# SPDX-License-Identifier: Apache-2.0
"""Rounds of breeding on a handful of faces."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from facefactor.apps import breed as corpus_writer
from facefactor.data.bred_faces import BreedingSettings
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.shards import SYNTHETIC, CorpusRecord, write_corpus_record, write_shard
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.data.synthetic_sample import encode_synthetic_sample
from facefactor.encode.encoder import Encoder
from facefactor.errors import AssetMissing, FaceError
from facefactor.face.model import FaceModel, load_face_model
from facefactor.train import breed
from facefactor.train.breed import Breeding, BreedSettings
from facefactor.train.checkpoint import save_weights
from facefactor.train.inverse import HeldOutFaces

SETTINGS = BreedSettings(rounds=1, num_steps=2, batch_size=4, variants=1, loader_workers=0)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def held_out(model: FaceModel) -> HeldOutFaces:
    return HeldOutFaces(SyntheticFaces(SyntheticSettings(subdivided=False), model=model), 4)


@pytest.fixture(scope="module")
def first(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> SyntheticCorpus:
    folder = tmp_path_factory.mktemp("first")
    faces = SyntheticFaces(SyntheticSettings(border_px=16, subdivided=False), model=model).make(range(6))
    samples = [encode_synthetic_sample(face, f"face-{number}") for number, face in enumerate(faces)]
    shard = write_shard(folder / "synthetic-000000.tar", samples)
    write_corpus_record(folder, CorpusRecord(SYNTHETIC, (shard,), complete=True))
    return SyntheticCorpus(folder)


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("init") / "weights.safetensors"
    save_weights(Encoder(), path, {})
    return path


class Writer:
    """Writes bred corpora in this process, and counts them."""

    def __init__(self, photos: Path) -> None:
        self.photos, self.written = photos, 0

    def __call__(self, folder: Path, explained: Path, settings: BreedingSettings, count: int) -> None:
        self.written += 1
        corpus_writer.start_worker(self.photos, explained, settings)
        shard = corpus_writer.write_bred_shard((folder / "bred-000000.tar", 0, count))
        write_corpus_record(folder, CorpusRecord(SYNTHETIC, (shard,), complete=True))


@pytest.fixture
def make(rendered_photos, first, held_out, model, init, monkeypatch):
    """A function that makes a run in a folder, with small sheets."""
    monkeypatch.setattr(breed, "SHEET_ROWS", 2)
    monkeypatch.setattr(breed, "SHEET_VARIANTS", 1)

    def make_run(folder: Path, settings: BreedSettings = SETTINGS) -> Breeding:
        photos = rendered_photos[0]
        return Breeding(folder, init, PhotoCorpus(photos), first, held_out, model, settings, Writer(photos))

    return make_run


def record(folder: Path) -> dict:
    return json.loads((folder / "breeding.json").read_text())


def test_a_round_leaves_all_that_tells_of_it(make, tmp_path: Path) -> None:
    weights = make(tmp_path).run()
    rounds, best = record(tmp_path)["rounds"], record(tmp_path)["best_round"]
    assert [entry["round"] for entry in rounds] == [0, 1]
    assert best == int(np.argmin([entry["photo_landmark_percent"] for entry in rounds]))
    statistics = json.loads((tmp_path / "round_1" / "statistics.json").read_text())
    assert statistics["photos"] + statistics["photos_dropped"] == 18  # of 20, two are held out
    assert statistics["bred_faces"] == statistics["photos"] == statistics["bred"]["faces"]
    assert sum(statistics["explained"]["share_by_yaw_deg"].values()) == pytest.approx(1.0, abs=0.01)
    assert statistics["first"]["faces"] == 6
    for name in ("sheet.png", "explained.safetensors", "weights.safetensors", "log.jsonl", "corpus/corpus.json"):
        assert (tmp_path / "round_1" / name).is_file()
    made = tmp_path / "round_1" / "weights.safetensors"
    assert weights.read_bytes() == (made.read_bytes() if best == 1 else make(tmp_path)._init.read_bytes())


def test_it_stops_when_held_out_photos_get_no_better(make, tmp_path: Path, monkeypatch) -> None:
    errors = iter([9.0, 8.0, 8.5, 1.0])
    numbers = {"landmark_percent": 5.0, "rotation_deg": 4.0}

    def measure(self, encoder):
        return {"photo_landmark_percent": next(errors), **numbers}

    monkeypatch.setattr(Breeding, "_measure", measure)
    monkeypatch.setattr(Breeding, "_describe", lambda self, *arguments: None)
    monkeypatch.setattr(Breeding, "_fine_tune", lambda self, folder, weights, bred: weights_copy(weights, folder))
    run = make(tmp_path, BreedSettings(rounds=5, num_steps=2, batch_size=4, variants=1, keep_corpora=False))
    run.run()
    assert [entry["photo_landmark_percent"] for entry in record(tmp_path)["rounds"]] == [9.0, 8.0, 8.5]
    assert record(tmp_path)["best_round"] == 1
    assert not (tmp_path / "round_1" / "corpus").exists()


def weights_copy(weights: Path, folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(weights.read_bytes())


def test_a_killed_run_goes_on_in_its_round_and_ends_the_same(make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Breeding, "_describe", lambda self, *arguments: None)
    make(tmp_path / "whole").run()

    class Killed(BaseException):
        pass

    def killed(self, folder, weights, bred):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Breeding, "_fine_tune", killed)
        with pytest.raises(Killed):
            make(tmp_path / "broken").run()
    explained = tmp_path / "broken" / "round_1" / "explained.safetensors"
    written = explained.stat().st_mtime_ns
    make(tmp_path / "broken").run(resume=True)
    assert explained.stat().st_mtime_ns == written
    for name in ("weights.safetensors", "explained.safetensors"):
        whole, broken = (load_file(tmp_path / folder / "round_1" / name) for folder in ("whole", "broken"))
        assert whole.keys() == broken.keys()
        assert all(torch.equal(whole[key], broken[key]) for key in whole)
    done = record(tmp_path / "broken")
    make(tmp_path / "broken").run(resume=True)
    assert record(tmp_path / "broken") == done


def test_a_run_is_not_taken_for_another(make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Breeding, "_round", lambda self, number, weights: self._measure(self._encoder(weights)))
    make(tmp_path).run()
    with pytest.raises(FaceError, match="holds a run already"):
        make(tmp_path).run()
    other = BreedSettings(rounds=1, num_steps=3, batch_size=4, variants=1, polish=False)
    with pytest.raises(FaceError, match="changed: num_steps, polish"):
        make(tmp_path, other).run(resume=True)


def test_one_photo_is_too_few(rendered_photos, first, held_out, model, init, tmp_path: Path, monkeypatch) -> None:
    photos = PhotoCorpus(rendered_photos[0])
    monkeypatch.setattr(PhotoCorpus, "__len__", lambda self: 1)
    with pytest.raises(AssetMissing, match="more than one photo"):
        Breeding(tmp_path, init, photos, first, held_out, model, SETTINGS, Writer(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"rounds": 0}, {"variants": 0}, {"first_share": 0.0}, {"first_share": 1.0}, {"detail_share": 1.5}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        BreedSettings(**{"rounds": 1, **wrong})
