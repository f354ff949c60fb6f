# SPDX-License-Identifier: Apache-2.0
"""Inner loops compiled by numba; importing this module imports numba, which takes 0.3 s.

The machine code is kept beside the file of the loop, or in the user's cache folder where that cannot be written. Loops
are also marked `no_type_check`, which keeps the tests' shape checker out of them.
"""

from collections.abc import Callable

import numba


def compile_kernel(function: Callable) -> Callable:
    """Compile on the first call, from the cache where there is one; runs without the interpreter's lock."""
    try:
        return numba.njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return numba.njit(function, nogil=True, error_model="numpy")
