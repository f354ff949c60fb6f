# SPDX-License-Identifier: Apache-2.0
"""docs/conventions.md and the tests that pin it name each other, and its picture can be drawn again."""

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "conventions.md"


def pinning_tests() -> set[str]:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    return {name for source in sources for name in re.findall(r"^def (test_convention_\w+)", source, re.MULTILINE)}


def test_the_page_names_every_test_that_pins_a_convention_and_no_other():
    named = re.findall(r"`(test_convention_\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) == len(set(named))
    assert set(named) == pinning_tests()


def test_the_picture_of_the_page_can_be_drawn_again(tmp_path):
    fresh = tmp_path / "conventions.png"
    program = ROOT / "tools" / "draw_conventions.py"
    result = subprocess.run([sys.executable, str(program), str(fresh)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    with Image.open(fresh) as drawn, Image.open(PAGE.with_suffix(".png")) as committed:
        assert drawn.size == committed.size
    assert PAGE.with_suffix(".png").stat().st_size < 150_000
