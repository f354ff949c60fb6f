# SPDX-License-Identifier: Apache-2.0
"""Fixtures every test may use."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The project's test photos and scans; not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the project's data folder is not on this machine ({SHARED_DATA})")
    return SHARED_DATA
