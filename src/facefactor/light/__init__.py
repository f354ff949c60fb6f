# SPDX-License-Identifier: Apache-2.0
"""Illumination, and what it does to a surface."""
