# SPDX-License-Identifier: Apache-2.0
"""Safetensors files: what they hold, and that they are what is wanted.

Place in the flow: the face model, its learned corrections and training's weights are such files, each of which names
its format, such as "facefactor.model/1", in its metadata.
"""

from pathlib import Path
from typing import Any, Literal

from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.paths import why_no_file


def read_tensor_file(
    path: Path, wanted_format: str, framework: Literal["numpy", "pt"] = "numpy"
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read all tensors, as numpy's arrays or torch's, and the metadata.

    Args:
        path: of the file.
        wanted_format: what its metadata must say of its format.
        framework: "pt" is torch.

    Raises:
        AssetMissing: no such file.
        IncompatibleCode: it is no safetensors file, or of another format.
    """
    from safetensors import SafetensorError, safe_open

    if reason := why_no_file(path):
        raise AssetMissing(f"{path}: {reason}")
    try:
        with safe_open(path, framework=framework) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise IncompatibleCode(f"{path}: not a safetensors file: {error}") from None
    found = metadata.get("format", "of no known format")
    if found != wanted_format:
        raise IncompatibleCode(f"{path}: is {found}, needed is {wanted_format}")
    return tensors, metadata
