# SPDX-License-Identifier: Apache-2.0
"""What a user runs: the command line and, behind it, one module per command."""
