# SPDX-License-Identifier: Apache-2.0
"""facefactor: one face photo in; pose, shape, expression, skin reflectance and light out."""

__version__ = "0.1.0"
