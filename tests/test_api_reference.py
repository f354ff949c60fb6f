# SPDX-License-Identifier: Apache-2.0
"""The API reference is built without a warning, and holds what the package gives."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocstrings", reason="mkdocs (the extra `docs`) is not installed")

ROOT = Path(__file__).resolve().parents[1]


def test_the_reference_is_built_and_holds_the_interface(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "api" / "index.html").read_text()
    for name in ("reconstruct", "load_face", "with_expression", "relight", "with_light", "export", "NoFaceFound"):
        assert name in page, name
    assert "standard deviations" in page
