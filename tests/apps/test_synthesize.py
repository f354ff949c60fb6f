# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefactor.apps import synthesize
from facefactor.apps.cli import main
from facefactor.data.shards import Corpus, CorpusRecord, read_corpus_record, write_corpus_record
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.data.synthetic_sample import decode_synthetic_sample
from facefactor.errors import AssetMissing, IncompatibleCode


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesize, "SAMPLES_PER_SHARD", 3)


def test_synthesize_writes_a_corpus_that_can_be_read(tmp_path: Path) -> None:
    assert main(["synthesize", "--count", "7", "--out", str(tmp_path / "corpus")]) == 0
    corpus = Corpus(tmp_path / "corpus")
    assert corpus.record.kind == "synthetic"
    assert corpus.record.complete
    assert [shard.samples for shard in corpus.record.shards] == [3, 3, 1]
    faces = [decode_synthetic_sample(sample) for sample in corpus]
    assert len(faces) == 7
    assert faces[0].picture_srgb.shape == (160, 160, 3)
    assert not np.array_equal(faces[0].code.shape, faces[1].code.shape)
    batch = SyntheticCorpus(tmp_path / "corpus").read([1, 4])
    assert batch.crops_srgb.shape == (2, 3, 128, 128)
    assert batch.code is not None
    assert np.allclose(batch.code.pack()[1].numpy(), faces[4].code.pack())
    assert np.allclose(batch.landmarks_px[1].numpy(), faces[4].landmarks_px - 16, atol=1e-3)


def test_a_corpus_of_photos_is_not_read_as_faces(tmp_path: Path) -> None:
    write_corpus_record(tmp_path, CorpusRecord("photographs"))
    with pytest.raises(IncompatibleCode, match="photographs"):
        SyntheticCorpus(tmp_path)


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    write_corpus_record(tmp_path, CorpusRecord("synthetic"))
    with pytest.raises(AssetMissing, match="no samples"):
        SyntheticCorpus(tmp_path)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    command = ["synthesize", "--count", "5", "--seed", "2", "--out", str(tmp_path)]
    assert main(command) == 0
    second = tmp_path / "synthetic-000001.tar"
    content, written = second.read_bytes(), (tmp_path / "synthetic-000000.tar").stat().st_mtime_ns
    second.unlink()
    record = read_record_without_check(tmp_path)
    record["shards"] = record["shards"][:1]
    (tmp_path / "corpus.json").write_text(json.dumps(record))
    assert main(command) == 0
    assert second.read_bytes() == content
    assert (tmp_path / "synthetic-000000.tar").stat().st_mtime_ns == written
    assert read_corpus_record(tmp_path).samples == 5


def test_another_corpus_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthesize", "--count", "1", "--out", str(tmp_path)]) == 0
    assert main(["synthesize", "--count", "1", "--seed", "9", "--out", str(tmp_path)]) == 2
    assert "another corpus" in capsys.readouterr().err


def test_a_sheet_shows_48_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesize, "SHEET_ROWS", 2)
    sheet = tmp_path / "sheet.png"
    assert main(["synthesize", "--count", "1", "--out", str(tmp_path / "c"), "--sheet", str(sheet)]) == 0
    with Image.open(sheet) as picture:
        assert picture.size == (8 * 240, 2 * 240)


def test_a_missing_background_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["synthesize", "--count", "1", "--out", str(tmp_path / "c"), "--backgrounds", str(tmp_path / "none")]
    assert main(command) == 2
    assert "none" in capsys.readouterr().err


def read_record_without_check(folder: Path) -> dict:
    return json.loads((folder / "corpus.json").read_text())
