# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the path of a file that is to be read, in words.

`Path.exists` and `Path.is_file` raise for names that are too long and inside folders that are closed to the user;
these functions answer for every path.
"""

from pathlib import Path


def why_missing(path: Path, kind: str = "file") -> str | None:
    """Say why nothing can be found at a path, as the rest of a sentence; None where something is.

    Args:
        path: of what is to be read.
        kind: what to call it where there is none.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return f"no such {kind}"
    except OSError as error:
        return error.strerror or str(error)
    return None


def why_no_file(path: Path) -> str | None:
    """Say why there is no regular file at a path, as `why_missing` does; None where there is one."""
    return why_missing(path) or (None if path.is_file() else "is not a file")
