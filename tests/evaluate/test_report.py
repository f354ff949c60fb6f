# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from facefactor.evaluate.report import ROWS_PER_PICTURE, Measure, as_json, markdown, write_report


@pytest.fixture
def measures():
    def measure(target: str, group: str, mean_mm: float) -> Measure:
        return Measure("ours", target, group, "shape", 0.1, mean_mm, 0.9, 2.0, {"nose": 1.23456}, 0.98, 1.1)

    return [measure("a", "scans", 0.3), measure("b", "heads", 0.2), measure("c", "scans", 0.5)]


def test_markdown_has_the_mean_of_each_group_and_every_target(measures):
    text = markdown(measures, {"ours": "abc"}, ["ours_scans.png"])
    assert "| scans (2) | ours | shape | 0.10 | 0.40 | 0.90 | 2.00 | 0.98 | 1.10 |" in text
    assert "| heads (1) | ours | shape | 0.10 | 0.20 |" in text
    assert "| b | ours | shape |" in text
    assert "ours (abc)" in text
    assert "![ours_scans.png](ours_scans.png)" in text


def test_json_holds_what_was_measured(measures):
    read = json.loads(as_json(measures, {"ours": "abc"}))
    assert read["models"] == {"ours": "abc"}
    assert [record["target"] for record in read["measures"]] == ["a", "b", "c"]
    assert read["measures"][0]["landmark_parts_mm"] == {"nose": 1.2346}


def test_many_rows_go_to_several_pictures(measures, tmp_path):
    rows = {("ours", "heads"): [np.zeros((4, 8, 3), dtype=np.uint8)] * (ROWS_PER_PICTURE + 1)}
    write_report(tmp_path, measures, rows, {"ours": "abc"})
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["ours_heads_1.png", "ours_heads_2.png"]
