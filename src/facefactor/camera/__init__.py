# SPDX-License-Identifier: Apache-2.0
"""Head space to camera space to pixels."""
