# SPDX-License-Identifier: Apache-2.0
"""Writing bred faces in processes of their own."""

from pathlib import Path

import numpy as np
import pytest

from facefactor.apps import breed
from facefactor.apps.cli import main
from facefactor.code.face_code import FaceCode
from facefactor.data.bred_faces import BreedingSettings
from facefactor.data.shards import Corpus, read_corpus_record
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.data.synthetic_sample import encode_in_batches
from facefactor.errors import IncompatibleCode
from facefactor.train.explain import Explanation


@pytest.fixture
def explained(rendered_photos: tuple[Path, list], tmp_path: Path) -> Path:
    numbers = np.array([4, 9])
    code = FaceCode.unpack(np.stack([rendered_photos[1][number].code.pack() for number in numbers]))
    path = tmp_path / "explained.safetensors"
    Explanation(numbers, code, code, np.ones(2), np.ones(2)).write(path)
    return path


def test_any_number_of_processes_writes_the_same_corpus_and_keeps_what_is_there(
    rendered_photos: tuple[Path, list], explained: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(breed, "SAMPLES_PER_SHARD", 2)
    settings = BreedingSettings(seed=1)
    breed.write_bred_corpus(rendered_photos[0], 1, tmp_path / "bred", explained, settings, 3)
    corpus = Corpus(tmp_path / "bred")
    assert corpus.record.complete
    assert [shard.samples for shard in corpus.record.shards] == [2, 1]
    breed.start_worker(rendered_photos[0], explained, settings)
    assert breed._maker is not None
    for sample, expected in zip(corpus, encode_in_batches(breed._maker.make, range(3), breed.PREFIX), strict=True):
        assert sample.key == expected.key
        assert sample.json()["code"]["rotation"] == pytest.approx(expected.json()["code"]["rotation"], abs=1e-5)
    assert len(SyntheticCorpus(tmp_path / "bred").read([0, 2])) == 2

    written = (tmp_path / "bred" / "bred-000000.tar").stat().st_mtime_ns
    breed.write_bred_corpus(rendered_photos[0], 1, tmp_path / "bred", explained, settings, 3)
    assert (tmp_path / "bred" / "bred-000000.tar").stat().st_mtime_ns == written
    assert read_corpus_record(tmp_path / "bred").complete
    with pytest.raises(IncompatibleCode, match="another corpus"):
        breed.write_bred_corpus(rendered_photos[0], 1, tmp_path / "bred", explained, settings, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "breeding needs --photos, and --corpus"),
        (["--photos", "photos", "--corpus", "nowhere"], "nowhere: holds no corpus"),
    ],
)
def test_what_breeding_needs_is_said_in_one_line(given: list[str], message: str, tmp_path: Path, capsys) -> None:
    assert main(["train", "inverse", "--breed", "1", "--out", str(tmp_path / "run"), *given]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert message in errors[0]
    assert not (tmp_path / "run").exists()
