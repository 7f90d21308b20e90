#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs all tests of a booted service manager, or those that have one of the arguments in their
names."""

import sys

import check
import instances
import lifecycle

sys.exit(check.main(check.Booted, lifecycle.Lifecycle, instances.Instances))
