# SPDX-License-Identifier: Apache-2.0
"""Posed mesh, albedo and light to pictures, and to colours at the vertices."""
