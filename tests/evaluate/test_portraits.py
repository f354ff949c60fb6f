# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from PIL import Image

from facefactor.evaluate.portraits import (
    ROWS_PER_SHEET,
    PortraitMeasure,
    portrait_paths,
    summarise,
    write_portrait_report,
)


def measure(number: int) -> PortraitMeasure:
    return PortraitMeasure(f"{number}.jpg", float(number), 0.1 * number, 0.2 * number + 0.1, 5.0, 2.0)


def test_the_summary_holds_medians_and_counts():
    summary = summarise([measure(number) for number in (1, 2, 9)], ["bad.jpg: no face found"])
    assert (summary["photos"], summary["faces_found"]) == (4, 3)
    assert summary["landmark_percent_median"] == 2.0
    assert summary["photometric_median"] == pytest.approx(0.2)
    assert summary["baseline_median"] == pytest.approx(0.5)
    assert summary["ratio_of_medians"] == pytest.approx(0.4)
    # Ratios 1/3, 2/5, 9/19.
    assert summary["median_of_ratios"] == pytest.approx(0.4)


def test_only_image_files_are_portraits(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt", "c.webp"):
        (tmp_path / name).touch()
    assert [path.name for path in portrait_paths(tmp_path)] == ["a.png", "b.JPG", "c.webp"]


def test_the_report_names_every_photo_and_every_failure(tmp_path):
    count = ROWS_PER_SHEET + 2
    rows = [np.full((4, 6, 3), number, dtype=np.uint8) for number in range(count)]
    measures = [measure(number + 1) for number in range(count)]
    write_portrait_report(tmp_path, "fit", "abc", measures, ["bad.jpg: no face found"], rows)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["photo"] for entry in report["photos"]] == [f"{number + 1}.jpg" for number in range(count)]
    page = (tmp_path / "report.md").read_text()
    assert "engine fit, model abc" in page
    assert "- bad.jpg: no face found" in page
    for sheet, num_rows in enumerate((ROWS_PER_SHEET, 2)):
        with Image.open(tmp_path / f"sheet_0{sheet}.png") as picture:
            assert picture.size == (6, 4 * num_rows)
