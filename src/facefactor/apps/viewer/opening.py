# SPDX-License-Identifier: Apache-2.0
"""Files and uploads to subjects: photos are reconstructed, faces' JSON is read, with its photo where that is near."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

from facefactor.api import load_face
from facefactor.apps.reconstruction import Reconstructor
from facefactor.apps.viewer.head import Head
from facefactor.apps.viewer.sources import is_face_file
from facefactor.apps.viewer.subject import Subject, mean_record
from facefactor.errors import PhotoUnreadable
from facefactor.photo.read import Photo, read_photo


class Opener:
    """Opens faces to look at.

    Args:
        head: the face model that they are looked at with.
    """

    def __init__(self, head: Head) -> None:
        self._head = head

    @functools.cached_property
    def reconstructor(self) -> Reconstructor:
        """Of the head's engine; takes a second to make, when it is first asked for."""
        return Reconstructor(engine=self._head.engine)

    def open_file(self, path: Path) -> Subject:
        """Open a photo, or a face's JSON.

        Raises:
            PhotoError: the photo cannot be read, or shows no face.
            AssetMissing, IncompatibleCode: the JSON is not there, no face, or one of another face model.
        """
        if not is_face_file(path):
            return self._open_photo(read_photo(path))
        face = load_face(path)
        return Subject.of(face.seen, face.photo, self._head, face.record)

    def open_upload(self, name: str, content: bytes) -> Subject:
        """Open a photo that came as bytes; messages call it by its name alone.

        Raises:
            PhotoError: it cannot be read, or shows no face.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / (Path(name).name or "photo")
            path.write_bytes(content)
            try:
                photo = replace(read_photo(path), path=None)
            except PhotoUnreadable as error:
                raise PhotoUnreadable(str(error).removeprefix(f"{folder}/")) from None
        return self._open_photo(photo)

    def open_mean(self) -> Subject:
        """The mean face."""
        return Subject.of(mean_record(self._head.model.model_hash), None, self._head)

    def _open_photo(self, photo: Photo) -> Subject:
        (record,) = self.reconstructor.records(photo)
        return Subject.of(record, photo, self._head)
