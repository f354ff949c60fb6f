# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import numpy as np
import pytest

from facefactor.evaluate.report import ROWS_PER_PICTURE, Measure, as_json, landmark_scatter_mm, markdown, write_report


@pytest.fixture
def measures():
    def measure(target: str, group: str, mean_mm: float) -> Measure:
        misses = np.full((51, 3), 2.0)
        return Measure("ours", target, group, "shape", 0.1, mean_mm, 0.9, 2.0, {"nose": 1.23456}, misses, 0.98, 1.1)

    return [measure("a", "scans", 0.3), measure("b", "heads", 0.2), measure("c", "scans", 0.5)]


def test_markdown_has_the_mean_of_each_group_and_every_target(measures):
    text = markdown(measures, {"ours": "abc"}, ["ours_scans.png"])
    assert "| scans (2) | ours | shape | 0.10 | 0.40 | 0.90 | 2.00 | 0.98 | 1.10 | – |" in text
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


def test_a_definition_that_differs_the_same_way_everywhere_is_no_scatter(measures):
    same = [measures[0]] * 6
    assert landmark_scatter_mm(same) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(landmark_scatter_mm(measures))


def test_scatter_is_the_spread_of_the_landmarks(measures):
    rng = np.random.default_rng(0)
    spread = [dataclasses.replace(measures[0], landmark_misses_mm=5.0 + rng.normal(size=(51, 3))) for _ in range(6)]
    assert landmark_scatter_mm(spread) == pytest.approx(np.sqrt(8 / np.pi), rel=0.1)  # mean of a Maxwell distribution
