# SPDX-License-Identifier: Apache-2.0
"""What made a run's weights, as `run.json` beside them: configuration, seed, versions, commit and data."""

import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facefactor.errors import FaceError
from facefactor.export.atomic import write_bytes

PACKAGES = ("facefactor", "torch", "numpy", "safetensors")


def write_run_record(folder: Path, config: Mapping[str, Any], data_hash: str, num_devices: int) -> None:
    """Write `run.json`.

    Args:
        folder: of the run.
        config: every setting with its value; JSON-able.
        data_hash: of what the run learns from.
        num_devices: processes of the run.
    """
    record = {
        "format": "facefactor.run/1",
        "config": config,
        "data_hash": data_hash,
        "command": sys.argv,
        "num_devices": num_devices,
        "commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    write_bytes(folder / "run.json", (json.dumps(record, indent=2) + "\n").encode())


def require_same_run(folder: Path, config: Mapping[str, Any], data_hash: str) -> None:
    """Check that a run to resume was started with the same settings and data; nothing to check where none was.

    Raises:
        FaceError: it was not; the message names what differs.
    """
    path = folder / "run.json"
    if not path.is_file():
        return
    record = json.loads(path.read_text(encoding="utf-8"))
    before = {**record["config"], "data_hash": record["data_hash"]}
    now = {**json.loads(json.dumps(config)), "data_hash": data_hash}
    different = sorted(name for name in before | now if before.get(name) != now.get(name))
    if different:
        changes = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in different)
        raise FaceError(f"{folder}: a run is resumed with the settings it was started with: {changes}")


def read_regime(folder: Path) -> str | None:
    """What kind of training a run is; None where the folder holds no record of a run."""
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8"))["config"].get("regime") if path.is_file() else None


def git_commit(folder: Path) -> str | None:
    """The commit of a checkout, with "+changes" where files differ from it; None where there is no git or checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + ("+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
