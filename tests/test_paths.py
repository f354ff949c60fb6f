# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from facefactor.errors import AssetMissing
from facefactor.graph_file import open_graph
from facefactor.paths import why_missing, why_no_file
from facefactor.tensor_file import read_tensor_file

TOO_LONG = Path("n" * 5000)


def test_what_is_there_is_not_missing(tmp_path: Path):
    (tmp_path / "a").touch()
    assert why_missing(tmp_path) is why_missing(tmp_path / "a") is why_no_file(tmp_path / "a") is None
    assert why_no_file(tmp_path) == "is not a file"


def test_every_path_has_an_answer(tmp_path: Path):
    (tmp_path / "a").touch()
    assert why_missing(tmp_path / "b", "file or folder") == "no such file or folder"
    for path in (tmp_path / "b", tmp_path / "a" / "b", Path("a\0b")):
        assert why_missing(path) == why_no_file(path) == "no such file"
    assert why_missing(TOO_LONG) == why_no_file(TOO_LONG) == "File name too long"


@pytest.mark.skipif(os.geteuid() == 0, reason="no folder is closed to root")
def test_a_closed_folder_is_said(tmp_path: Path):
    (tmp_path / "closed").mkdir(mode=0)
    assert why_missing(tmp_path / "closed" / "a") == "Permission denied"


@pytest.mark.parametrize("read", [read_tensor_file, lambda path, wanted: open_graph(path, wanted_format=wanted)])
def test_a_name_that_is_too_long_is_one_sentence(read):
    with pytest.raises(AssetMissing, match="n: File name too long"):
        read(TOO_LONG, "any")
