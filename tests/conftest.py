# SPDX-License-Identifier: Apache-2.0
"""Fixtures every test may use."""

import importlib.util
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The project's test photos and scans; not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the project's data folder is not on this machine ({SHARED_DATA})")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Small tensors are faster without a pool of threads, and results do not depend on the number of cores."""
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
