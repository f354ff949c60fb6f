# SPDX-License-Identifier: Apache-2.0
"""Measures of the face model and of the engines against scans and photos with known truth."""
