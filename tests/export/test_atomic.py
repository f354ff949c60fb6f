# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefactor.errors import OutputUnwritable
from facefactor.export.atomic import (
    encode_png,
    replaced_when_done,
    require_writable,
    write_bytes,
    write_png,
    write_together,
)


def test_the_written_file_holds_the_bytes_and_nothing_else_is_left(tmp_path):
    write_bytes(tmp_path / "new folder" / "größe 1.bin", b"abc")
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["größe 1.bin"]
    assert (tmp_path / "new folder" / "größe 1.bin").read_bytes() == b"abc"


def test_an_existing_file_is_replaced(tmp_path):
    write_bytes(tmp_path / "a", b"old and longer")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_file_gets_the_permissions_that_any_new_file_gets(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_name_of_the_longest_length_can_be_written(tmp_path):
    write_bytes(tmp_path / ("n" * 255), b"abc")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"abc"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_part(tmp_path, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((OutputUnwritable, KeyboardInterrupt)) as raised:
        write_bytes(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
    if isinstance(error, OSError):
        assert str(raised.value) == f"{tmp_path / 'a'}: cannot be written: No space left on device"


def test_a_file_where_a_folder_should_be_is_reported(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputUnwritable, match=r"cannot be written: (Not a directory|File exists)"):
        write_bytes(tmp_path / "file" / "a", b"abc")


def test_a_folder_where_the_file_should_be_is_reported_and_no_part_is_left(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputUnwritable, match="a: cannot be written"):
        write_bytes(tmp_path / "a", b"abc")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_png_gives_back_its_pixels(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as read:
        np.testing.assert_array_equal(np.asarray(read), picture)
    assert (tmp_path / "a.png").read_bytes() == encode_png(picture)


def test_a_picture_of_floats_is_refused():
    with pytest.raises(ValueError, match=r"must be \(height, width, 3 or 4\) uint8, got \(2, 2, 3\) float64"):
        encode_png(np.zeros((2, 2, 3)))


def test_files_written_together_appear_together_or_not_at_all(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "file" / "bad"
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(OutputUnwritable, match="bad: cannot be written"):
        write_together({good: b"1", bad: b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_together({good: b"1", tmp_path / "new" / "too": b"2"})
    assert (good.read_bytes(), (tmp_path / "new" / "too").read_bytes()) == (b"1", b"2")


def test_stopping_between_two_files_leaves_neither(tmp_path, monkeypatch):
    write, calls = Path.write_bytes, []

    def write_once(self: Path, content: bytes) -> int:
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", write_once)
    with pytest.raises(KeyboardInterrupt):
        write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert list(tmp_path.iterdir()) == []


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputUnwritable, match=r"file/out: cannot be written to: .+"):
        require_writable(tmp_path / "file" / "out")


def test_a_long_file_takes_its_place_when_the_block_ends_well(tmp_path):
    write_bytes(tmp_path / "new" / "a", b"old")
    with replaced_when_done(tmp_path / "new" / "a") as temporary:
        temporary.write_bytes(b"new")
        assert (tmp_path / "new" / "a").read_bytes() == b"old"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]
    assert (tmp_path / "new" / "a").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_long_file_that_is_not_finished_leaves_the_old_one(tmp_path, error):
    def fail() -> None:
        with replaced_when_done(tmp_path / "a") as temporary:
            temporary.write_bytes(b"half")
            raise error

    write_bytes(tmp_path / "a", b"old")
    with pytest.raises((OutputUnwritable, KeyboardInterrupt)):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
