# SPDX-License-Identifier: Apache-2.0
"""Analysis by synthesis: one photo's code by minimising what the losses say, without any network."""
