# SPDX-License-Identifier: Apache-2.0
"""Corpora on the disk."""

import json
import pickle
import tarfile
from pathlib import Path

import pytest

from facefactor.data.shards import (
    Corpus,
    CorpusRecord,
    Sample,
    Shard,
    read_corpus_record,
    read_shard,
    shard_name,
    write_corpus_record,
    write_shard,
)
from facefactor.errors import AssetMissing, IncompatibleCode, OutputUnwritable


def make_samples(first: int, count: int) -> list[Sample]:
    numbers = range(first, first + count)
    return [Sample(f"{n:04d}", {"jpg": bytes([n]) * (n + 1), "json": json.dumps({"n": n}).encode()}) for n in numbers]


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    """Three shards of 4, 4 and 2 samples."""
    counts = {"photos-000000.tar": (0, 4), "photos-000001.tar": (4, 4), "photos-000002.tar": (8, 2)}
    shards = tuple(write_shard(tmp_path / name, make_samples(*span)) for name, span in counts.items())
    write_corpus_record(tmp_path, CorpusRecord("photographs", shards, complete=True, rejected={"grey": 2}))
    return tmp_path


def test_a_shard_gives_back_its_samples_in_order(tmp_path: Path) -> None:
    samples = make_samples(0, 5)
    assert write_shard(tmp_path / "a.tar", samples) == Shard("a.tar", 5)
    assert list(read_shard(tmp_path / "a.tar")) == samples


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        write_shard(tmp_path / name, make_samples(0, 5))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_shard_is_a_plain_tar_whose_samples_stand_together(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", make_samples(0, 2))
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getnames() == ["0000.jpg", "0000.json", "0001.jpg", "0001.json"]


def test_an_error_while_samples_are_made_leaves_no_file(tmp_path: Path) -> None:
    def failing():
        yield from make_samples(0, 3)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_shard(tmp_path / "a.tar", failing())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        write_shard(tmp_path / "file" / "a.tar", make_samples(0, 1))


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 of 2 samples have a key that is taken"):
        write_shard(tmp_path / "a.tar", make_samples(0, 1) * 2)


@pytest.mark.parametrize("key", ["", "a.b", "a/b"])
def test_a_key_that_would_be_read_otherwise_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="neither dots nor slashes"):
        Sample(key, {})


def test_shard_names_sort_by_number() -> None:
    assert shard_name("photos", 12) == "photos-000012.tar"


def test_a_corpus_reads_any_sample_by_its_number(corpus_folder: Path) -> None:
    corpus = Corpus(corpus_folder)
    assert len(corpus) == 10
    for number in (9, 0, 4, 3, 7, 8):
        assert corpus[number] == make_samples(number, 1)[0]
        assert corpus[number].json() == {"n": number}
    assert list(corpus) == make_samples(0, 10)


@pytest.mark.parametrize("index", [-1, 10])
def test_a_number_outside_the_corpus_is_an_index_error(corpus_folder: Path, index: int) -> None:
    with pytest.raises(IndexError, match="holds 10 samples"):
        Corpus(corpus_folder)[index]


def test_a_corpus_can_be_sent_to_another_process(corpus_folder: Path) -> None:
    corpus = Corpus(corpus_folder)
    first = corpus[5]
    assert pickle.loads(pickle.dumps(corpus))[5] == first


def test_the_table_of_contents_is_read_once(corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(corpus_folder)
    list(corpus)
    monkeypatch.setattr(tarfile, "open", None)
    assert len(list(corpus)) == 10


def test_the_record_comes_back(corpus_folder: Path) -> None:
    record = read_corpus_record(corpus_folder)
    assert record.samples == 10
    assert record.rejected == {"grey": 2}
    write_corpus_record(corpus_folder, record)
    assert read_corpus_record(corpus_folder) == record


def test_a_folder_without_a_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="holds no corpus"):
        read_corpus_record(tmp_path)
    with pytest.raises(AssetMissing, match="holds no corpus"):
        read_corpus_record(tmp_path / "nowhere")


def test_a_broken_record_is_said(corpus_folder: Path) -> None:
    (corpus_folder / "corpus.json").write_text("{")
    with pytest.raises(AssetMissing, match=r"corpus\.json: cannot be read"):
        Corpus(corpus_folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is no corpus"),
        ("{}", "is no corpus"),
        ('{"format": "facefactor.corpus/9"}', "is facefactor.corpus/9, this version reads facefactor.corpus/1"),
        ('{"format": "facefactor.corpus/1", "kind": "photographs"}', "does not fit this version.*shards"),
    ],
)
def test_another_format_is_said(corpus_folder: Path, content: str, message: str) -> None:
    (corpus_folder / "corpus.json").write_text(content)
    with pytest.raises(IncompatibleCode, match=message):
        Corpus(corpus_folder)


def test_a_missing_shard_is_said(corpus_folder: Path) -> None:
    (corpus_folder / "photos-000001.tar").unlink()
    with pytest.raises(AssetMissing, match=r"1 of its 3 shards are gone, first photos-000001\.tar"):
        Corpus(corpus_folder)


@pytest.mark.parametrize("kept_bytes", [0, 100, 2000])
def test_a_truncated_shard_is_said(corpus_folder: Path, kept_bytes: int) -> None:
    shard = corpus_folder / "photos-000001.tar"
    shard.write_bytes(shard.read_bytes()[:kept_bytes])
    with pytest.raises(AssetMissing, match=r"photos-000001\.tar: is (damaged|no whole tar file)"):
        Corpus(corpus_folder)[4]


def test_a_shard_that_shrank_after_it_was_opened_is_said(corpus_folder: Path) -> None:
    corpus = Corpus(corpus_folder)
    assert corpus[7]
    shard = corpus_folder / "photos-000001.tar"
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(AssetMissing, match="ends within 0007"):
        corpus[7]


def test_a_shard_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="no such shard"):
        list(read_shard(tmp_path / "a.tar"))
