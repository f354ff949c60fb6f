# SPDX-License-Identifier: Apache-2.0
"""A corpus on the disk: a folder of tar shards and the corpus.json that describes them.

Place in the flow: `prepare` and `synthesize` write it, training reads it. Shards follow the WebDataset convention, so
other tools read them too: photos-000000.tar, photos-000001.tar, …, in which the files KEY.jpg, KEY.json, … of a sample
stand side by side, and a key holds no dot. Every shard appears whole or not at all, and corpus.json, rewritten after
each, lists only those that are there: a corpus whose making was stopped can be read, and its making continued.

    corpus.json    format      "facefactor.corpus/1"
                   kind        "photographs" or "synthetic"
                   complete    whether its making came to its end
                   samples     how many there are
                   shards      [{"name": …, "samples": …}, …]
                   settings    what the samples depend on
                   sources     where they come from
                   rejected    how many candidates were left out, by reason
                   progress    what its maker needs to continue
"""

import bisect
import hashlib
import io
import itertools
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.export.atomic import write_bytes

FORMAT = "facefactor.corpus/1"
CORPUS_FILE = "corpus.json"
PHOTOGRAPHS = "photographs"
SYNTHETIC = "synthetic"
"""The kinds of corpora."""
SAMPLES_PER_SHARD = 1000
"""About 20 MB of crops with their landmarks; what a kill may cost is the making of one shard."""
JPEG_QUALITY = 95
"""With full colour resolution: about 13 kB a crop of 160 px."""


@dataclass(frozen=True)
class Sample:
    """The files of one sample.

    Attributes:
        key: unique in its corpus, without dots or slashes.
        files: content by file ending, such as "jpg" and "json".
    """

    key: str
    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if not self.key or set("./") & set(self.key):
            raise ValueError(f"a sample's key must hold neither dots nor slashes, got {self.key!r}")

    @classmethod
    def of(cls, key: str, picture_srgb: NDArray[np.uint8], record: Mapping[str, Any]) -> "Sample":
        """Encode a picture (height, width, 3) and what is known of it as KEY.jpg and KEY.json."""
        jpeg = io.BytesIO()
        Image.fromarray(picture_srgb).save(jpeg, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
        return cls(key, {"jpg": jpeg.getvalue(), "json": json.dumps(record, separators=(",", ":")).encode()})

    def picture_srgb(self) -> NDArray[np.uint8]:
        """Decode the file KEY.jpg: (height, width, 3)."""
        with Image.open(io.BytesIO(self.files["jpg"])) as picture:
            return np.asarray(picture.convert("RGB"))

    def json(self) -> Any:
        """Parse the file KEY.json."""
        return json.loads(self.files["json"])


@dataclass(frozen=True)
class Shard:
    """A finished shard of a corpus: its file's name and how many samples it holds."""

    name: str
    samples: int


@dataclass(frozen=True)
class CorpusRecord:
    """What corpus.json says; see the module's table."""

    kind: str
    shards: tuple[Shard, ...] = ()
    complete: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """How many samples the finished shards hold."""
        return sum(shard.samples for shard in self.shards)


def shard_name(prefix: str, index: int) -> str:
    """Name shard `index`, counted from zero."""
    return f"{prefix}-{index:06d}.tar"


def write_shard(path: Path, samples: Iterable[Sample]) -> Shard:
    """Write samples to a tar file, whole or not at all; the same samples give the same bytes.

    Raises:
        OutputUnwritable: the file cannot be written.
        ValueError: two samples have the same key.
    """
    content, keys = io.BytesIO(), []
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            keys.append(sample.key)
            for ending, data in sample.files.items():
                member = tarfile.TarInfo(f"{sample.key}.{ending}")
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
    if len(set(keys)) < len(keys):
        raise ValueError(f"{path}: {len(keys) - len(set(keys))} of {len(keys)} samples have a key that is taken")
    write_bytes(path, content.getvalue())
    return Shard(path.name, len(keys))


def read_shard(path: Path) -> Iterator[Sample]:
    """Yield the samples of a shard in their order.

    Raises:
        AssetMissing: the file is not there, or is no whole tar file.
    """
    for key, members in index_shard(path).items():
        yield _read_sample(path, key, members)


def resume_corpus_record(folder: Path, fresh: CorpusRecord) -> CorpusRecord:
    """The record of what a stopped run left of the same corpus, not called complete, or a fresh one.

    Args:
        folder: of the corpus, which need not be there.
        fresh: the record to begin with; a corpus is the same when its kind and settings are.

    Raises:
        IncompatibleCode: the folder holds another corpus.
        AssetMissing: its record cannot be read.
    """
    if not (folder / CORPUS_FILE).exists():
        return fresh
    found = read_corpus_record(folder)
    if (found.kind, dict(found.settings)) != (fresh.kind, dict(fresh.settings)):
        raise IncompatibleCode(f"{folder}: holds another corpus, made with {found.settings}: choose another folder")
    return replace(fresh, shards=found.shards)


def write_corpus_record(folder: Path, record: CorpusRecord) -> None:
    """Write corpus.json.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    content = {"format": FORMAT, "samples": record.samples, **asdict(record)}
    write_bytes(folder / CORPUS_FILE, (json.dumps(content, indent=1) + "\n").encode())


def read_corpus_record(folder: Path) -> CorpusRecord:
    """Read and check corpus.json.

    Raises:
        AssetMissing: the folder holds no corpus, or lacks one of its shards.
        IncompatibleCode: corpus.json is not one of this version.
    """
    path = folder / CORPUS_FILE
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise AssetMissing(f"{folder}: holds no corpus: there is no {CORPUS_FILE} in it") from None
    except (OSError, ValueError) as error:
        raise AssetMissing(f"{path}: cannot be read ({error})") from None
    record = _parse_record(path, content)
    missing = [shard.name for shard in record.shards if not (folder / shard.name).is_file()]
    if missing:
        raise AssetMissing(f"{folder}: {len(missing)} of its {len(record.shards)} shards are gone, first {missing[0]}")
    return record


class Corpus:
    """The samples of a corpus, in their order or by number.

    The shards' tables of contents are read once, at the first sample that is asked for by number, and kept. No file is
    held open, so a corpus can be handed to other processes and read by several threads.

    Args:
        folder: that holds corpus.json and the shards.

    Raises:
        AssetMissing: there is no corpus, or one of its shards is missing or damaged.
        IncompatibleCode: it is one of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = read_corpus_record(folder)
        self._starts = list(itertools.accumulate((shard.samples for shard in self.record.shards), initial=0))
        self._tables: dict[str, list[tuple[str, dict[str, tuple[int, int]]]]] = {}

    def __len__(self) -> int:
        return self.record.samples

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Read one sample by its number in the corpus, 0 to len - 1."""
        if not 0 <= index < len(self):
            raise IndexError(f"the corpus holds {len(self)} samples, got index {index}")
        shard_index = bisect.bisect_right(self._starts, index) - 1
        shard = self.record.shards[shard_index]
        if shard.name not in self._tables:
            self._tables[shard.name] = self._read_table(shard)
        key, members = self._tables[shard.name][index - self._starts[shard_index]]
        return _read_sample(self.folder / shard.name, key, members)

    def _read_table(self, shard: Shard) -> list[tuple[str, dict[str, tuple[int, int]]]]:
        table = list(index_shard(self.folder / shard.name).items())
        if len(table) != shard.samples:
            path = self.folder / shard.name
            raise AssetMissing(f"{path}: is damaged: it holds {len(table)} samples in place of {shard.samples}")
        return table


class JoinedCorpora:
    """The samples of one corpus or of several of a kind, laid end to end, by number.

    Args:
        folders: of the corpora, at least one. One that is still being written is read as far as it is there now.
        kind: of each.

    Raises:
        AssetMissing: one of them is no corpus, is damaged, or is empty.
        IncompatibleCode: one is of another version or kind.
    """

    def __init__(self, folders: Sequence[Path], kind: str) -> None:
        self._corpora = [_open_corpus(folder, kind) for folder in folders]
        self._starts = list(itertools.accumulate(map(len, self._corpora), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Sample:
        """Read one sample, 0 to len - 1."""
        if not 0 <= index < len(self):
            raise IndexError(f"the corpora hold {len(self)} samples, got index {index}")
        number = bisect.bisect_right(self._starts, index) - 1
        return self._corpora[number][index - self._starts[number]]

    def digest(self) -> str:
        """Name what the corpora hold, by their settings and shards: 16 hexadecimal digits."""
        records = [replace(corpus.record, complete=True, progress={}) for corpus in self._corpora]
        content = json.dumps([asdict(record) for record in records], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def _open_corpus(folder: Path, kind: str) -> Corpus:
    corpus = Corpus(folder)
    if corpus.record.kind != kind:
        raise IncompatibleCode(f"{folder}: is a corpus of {corpus.record.kind}, expected {kind}")
    if not len(corpus):
        raise AssetMissing(f"{folder}: the corpus holds no samples")
    return corpus


def index_shard(path: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Find where a shard's files lie: key to ending to (offset, size) in bytes, in the order of the samples.

    Raises:
        AssetMissing: the file is not there, or is no whole tar file.
    """
    table: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(path, mode="r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                table.setdefault(key, {})[ending] = (member.offset_data, member.size)
    except FileNotFoundError:
        raise AssetMissing(f"{path}: there is no such shard") from None
    except (OSError, tarfile.TarError) as error:
        raise AssetMissing(f"{path}: is no whole tar file ({error})") from None
    return table


def _read_sample(path: Path, key: str, members: Mapping[str, tuple[int, int]]) -> Sample:
    files = {}
    try:
        with path.open("rb") as file:
            for ending, (offset, size) in members.items():
                file.seek(offset)
                files[ending] = file.read(size)
    except OSError as error:
        raise AssetMissing(f"{path}: cannot be read ({error.strerror or error})") from None
    short = [ending for ending, (_, size) in members.items() if len(files[ending]) < size]
    if short:
        raise AssetMissing(f"{path}: is damaged: it ends within {key}.{short[0]}")
    return Sample(key, files)


def _parse_record(path: Path, content: Any) -> CorpusRecord:
    found = content.get("format", "no corpus") if isinstance(content, Mapping) else "no corpus"
    if found != FORMAT:
        raise IncompatibleCode(f"{path}: is {found}, this version reads {FORMAT}")
    try:
        return CorpusRecord(
            kind=content["kind"],
            shards=tuple(Shard(shard["name"], int(shard["samples"])) for shard in content["shards"]),
            complete=bool(content["complete"]),
            settings=dict(content["settings"]),
            sources=tuple(content["sources"]),
            rejected=dict(content["rejected"]),
            progress=dict(content["progress"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleCode(f"{path}: does not fit this version: {error!r}") from None
