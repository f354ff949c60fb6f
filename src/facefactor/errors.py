# SPDX-License-Identifier: Apache-2.0
"""The errors facefactor raises for a person to read.

    FaceError
    ├── PhotoError            a photo or video that cannot be used
    │   ├── PhotoUnreadable   missing, empty, truncated, not an image, too large
    │   ├── VideoUnreadable   missing, not a video, or none of its frames can be decoded
    │   └── NoFaceFound       readable, but no face in it
    ├── MissingExtra          an optional install is needed; says the command
    ├── AssetMissing          a file of the package or of the user is not there
    ├── IncompatibleCode      a face code made for another model or schema version
    ├── OutputUnwritable      the output folder or file cannot be written
    └── WrongArgument         an argument of a command that names nothing there is

Each message is one sentence that names the file and the cause. Programming mistakes raise ValueError or TypeError.
"""

import importlib
from types import ModuleType


class FaceError(Exception):
    """Base of every error a user can cause and mend."""


class PhotoError(FaceError):
    """A photo or video that cannot be used; a run of many photos goes on with the next one."""


class PhotoUnreadable(PhotoError):
    """The file is missing, empty, truncated, too large or no image."""


class VideoUnreadable(PhotoError):
    """The file is missing, no video, or holds no frame that can be decoded."""


class NoFaceFound(PhotoError):
    """The photo or video is readable and shows no face that could be found."""


class MissingExtra(FaceError):
    """A command needs an optional install, which the message names."""


class AssetMissing(FaceError):
    """A file that the package or the user should provide is not there."""


class IncompatibleCode(FaceError):
    """A face code or model file of another schema or size."""


class OutputUnwritable(FaceError):
    """The output folder or file cannot be written."""


class WrongArgument(FaceError):
    """An argument of a command makes no sense, such as a light that there is not."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say in one line which extra installs it.

    Args:
        module: name to import, such as "torch".
        extra: the facefactor extra that brings it, such as "train".
        purpose: what needs it, as the sentence's subject ("fitting a photo").

    Raises:
        MissingExtra: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"{purpose} needs {module.split('.')[0]}, which is not installed: pip install 'facefactor[{extra}]'"
        ) from None
