# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor synthesize`: write synthetic faces with their exact codes as a corpus, and a sheet of them.

    OUT/synthetic-000000.tar, …   KEY.jpg, KEY.json (code, landmarks_px, visibility)     OUT/corpus.json

A face depends on the seed and its number alone, so any number of jobs writes the same corpus. Shards that a stopped run
left whole are kept when the same corpus is asked for again.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from facefactor.apps.parallel import map_in_order
from facefactor.data.shards import (
    CORPUS_FILE,
    SAMPLES_PER_SHARD,
    SYNTHETIC,
    CorpusRecord,
    Shard,
    resume_corpus_record,
    shard_name,
    write_corpus_record,
    write_shard,
)
from facefactor.data.synthetic_sample import STORED_BORDER_PX, encode_in_batches
from facefactor.export.atomic import require_writable, write_png

if TYPE_CHECKING:
    from facefactor.data.synthetic import SyntheticFaces

PREFIX = "synthetic"
SHEET_ROWS, SHEET_COLUMNS = 6, 8
SHEET_SCALE = 1.5


def run(options: argparse.Namespace) -> int:
    """Write the corpus, and the sheet if one is asked for."""
    _keep_to_one_thread()
    require_writable(options.out)
    fresh = CorpusRecord(SYNTHETIC, settings=_settings(options), sources=_sources(options))
    record = resume_corpus_record(options.out, fresh)
    counts = _shard_counts(options.count)
    done = {shard.name: shard for shard in record.shards}
    missing = [index for index in range(len(counts)) if shard_name(PREFIX, index) not in done]
    for shard in _write_shards(options, counts, missing):
        done[shard.name] = shard
        record = replace(record, shards=tuple(done[name] for name in sorted(done)))
        write_corpus_record(options.out, record)
        print(f"\r{record.samples} of {options.count} faces", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    write_corpus_record(options.out, replace(record, complete=True))
    if options.sheet is not None:
        write_png(options.sheet, draw_sheet(_faces(options.seed, options.backgrounds, options.environment)))
        print(options.sheet)
    print(options.out / CORPUS_FILE)
    return 0


def draw_sheet(faces: "SyntheticFaces") -> np.ndarray:
    """Lay the first 48 faces out on a contact sheet, (H, W, 3) uint8."""
    made = faces.make(range(SHEET_ROWS * SHEET_COLUMNS))
    rows = [made[start : start + SHEET_COLUMNS] for start in range(0, len(made), SHEET_COLUMNS)]
    sheet = np.concatenate([np.concatenate([face.picture_srgb for face in row], axis=1) for row in rows])
    size = (round(sheet.shape[1] * SHEET_SCALE), round(sheet.shape[0] * SHEET_SCALE))
    return np.asarray(Image.fromarray(sheet).resize(size, Image.Resampling.BICUBIC))


def _write_shards(options: argparse.Namespace, counts: list[int], indices: list[int]) -> Iterator[Shard]:
    """Write shards, in this process or in others, and yield each when it and those before it are finished."""
    given = (options.seed, options.backgrounds, options.environment)
    tasks = [_Task(options.out, index, counts[index], given) for index in indices]
    if options.jobs == 1 or len(tasks) < 2:
        yield from map(_write_one_shard, tasks)
        return
    with closing(map_in_order(_write_one_shard, tasks, options.jobs, _keep_to_one_thread)) as shards:
        yield from shards


class _Task(NamedTuple):
    """A shard to write: where, its number, how many faces, and what makes them (seed, backgrounds, environment)."""

    folder: Path
    shard: int
    faces: int
    given: tuple[int, Path | None, Path | None]


def _write_one_shard(task: _Task) -> Shard:
    first = task.shard * SAMPLES_PER_SHARD
    samples = encode_in_batches(_faces(*task.given).make, range(first, first + task.faces), PREFIX)
    return write_shard(task.folder / shard_name(PREFIX, task.shard), samples)


def _keep_to_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _faces(seed: int, backgrounds: Path | None, environment: Path | None) -> "SyntheticFaces":
    """The maker of faces, once a process."""
    from facefactor.data.backgrounds import Backgrounds
    from facefactor.data.environments import Environments
    from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings

    settings = SyntheticSettings(seed=seed, border_px=STORED_BORDER_PX)
    return SyntheticFaces(
        settings,
        backgrounds=None if backgrounds is None else Backgrounds.in_folder(backgrounds),
        environments=None if environment is None else Environments.in_folder(environment),
    )


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    folders = {"backgrounds": options.backgrounds, "environment": options.environment}
    named = {name: None if folder is None else str(folder) for name, folder in folders.items()}
    return {"count": options.count, "seed": options.seed, **named}


def _sources(options: argparse.Namespace) -> tuple[str, ...]:
    folders = (options.backgrounds, options.environment)
    return ("rendered from the face model", *(str(folder) for folder in folders if folder is not None))


def _shard_counts(count: int) -> list[int]:
    full, rest = divmod(count, SAMPLES_PER_SHARD)
    return [SAMPLES_PER_SHARD] * full + ([rest] if rest else [])
