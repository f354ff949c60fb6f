# SPDX-License-Identifier: Apache-2.0
"""Write the bred faces of one round as a corpus, in several processes: what `train inverse --breed` draws.

A face depends on the round's settings and its number alone, so any number of jobs writes the same corpus. Shards that a
stopped run left whole are kept.
"""

import functools
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from facefactor.apps.parallel import map_in_order
from facefactor.data.bred_faces import BredFaces, BreedingSettings
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.shards import (
    SAMPLES_PER_SHARD,
    SYNTHETIC,
    CorpusRecord,
    Shard,
    resume_corpus_record,
    shard_name,
    write_corpus_record,
    write_shard,
)
from facefactor.data.synthetic_sample import encode_in_batches
from facefactor.train.explain import Explanation

PREFIX = "bred"


def write_bred_corpus(
    photos: Path, jobs: int, folder: Path, explained: Path, settings: BreedingSettings, count: int
) -> None:
    """Write a corpus of bred faces, or what is missing of it.

    Args:
        photos: folder of the photos' corpus.
        jobs: number of processes.
        folder: of the corpus to write.
        explained: file of the explanation.
        settings: of the perturbations.
        count: bred faces to draw.

    Raises:
        IncompatibleCode: the folder holds another corpus.
        FaceError: a worker process died.
        OutputUnwritable: the corpus cannot be written.
    """
    written = {"count": count, **asdict(settings)}
    record = resume_corpus_record(
        folder, CorpusRecord(SYNTHETIC, settings=written, sources=("bred from photos", str(photos)))
    )
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {
        shard_name(PREFIX, index): min(SAMPLES_PER_SHARD, count - first)
        for index, first in enumerate(range(0, count, SAMPLES_PER_SHARD))
    }
    done = {shard.name for shard in record.shards}
    tasks = [
        (folder / name, index * SAMPLES_PER_SHARD, size)
        for index, (name, size) in enumerate(sizes.items())
        if name not in done
    ]
    start = functools.partial(start_worker, photos, explained, settings)
    with closing(map_in_order(write_bred_shard, tasks, jobs, start)) as shards:
        for shard in shards:
            ordered = sorted((*record.shards, shard), key=lambda shard: shard.name)
            record = replace(record, shards=tuple(ordered))
            write_corpus_record(folder, record)
    write_corpus_record(folder, replace(record, complete=True))


def start_worker(photos: Path, explained: Path, settings: BreedingSettings) -> None:
    """Load what a worker process draws from, once."""
    global _maker
    explanation = Explanation.read(explained)
    _maker = BredFaces(PhotoCorpus(photos), explanation.numbers.tolist(), explanation.explained, settings)


def write_bred_shard(task: tuple[Path, int, int]) -> Shard:
    """Write one shard, given its path, first number and size, in a worker process."""
    assert _maker is not None
    path, first, size = task
    return write_shard(path, encode_in_batches(_maker.make, range(first, first + size), PREFIX))


_maker: BredFaces | None = None
"""Of a worker process."""
