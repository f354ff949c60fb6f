# SPDX-License-Identifier: Apache-2.0
"""Where a run's results go: a folder for each photo, three files for each face.

Photo `p.jpg` gets the folder `p`. When several photos of one run would get the same folder, the first keeps it and
the others get the first free of `p-2`, `p-3`, …, in the order in which the photos were named. Names that differ only in
case, or in how an accent is encoded, are the same: some file systems hold them in one folder. A name is free when no
photo of the run has it by itself, so that `p-2.jpg` always goes to `p-2`. A name of dots alone, as `...jpg` would give,
leads out of the folder and becomes `photo`. Files of an earlier run are replaced where they have the same names, and
left alone elsewhere.
"""

import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FacePaths:
    """The files of one face."""

    json: Path
    glb: Path
    png: Path

    @classmethod
    def of(cls, folder: Path, index: int) -> "FacePaths":
        """Name them: `0.json`, `0.glb` and `0.png` for the first face in the folder."""
        return cls(*(folder / f"{index}.{kind}" for kind in ("json", "glb", "png")))

    def __iter__(self) -> Iterator[Path]:
        return iter((self.json, self.glb, self.png))


def name_folders(photos: Sequence[Path]) -> list[str]:
    """Give each photo of a run a folder name of its own; the same photos in the same order get the same names."""
    stems = [photo.stem if photo.stem.strip(".") else "photo" for photo in photos]
    taken = {_folded(stem) for stem in stems}
    seen: set[str] = set()
    return [_free_name(stem, seen, taken) for stem in stems]


def _free_name(stem: str, seen: set[str], taken: set[str]) -> str:
    """The stem at its first sight, later the first free name with a number; notes the choice in both sets."""
    if _folded(stem) not in seen:
        seen.add(_folded(stem))
        return stem
    name = next(name for number in itertools.count(2) if _folded(name := f"{stem}-{number}") not in taken)
    taken.add(_folded(name))
    return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
