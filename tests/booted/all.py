# SPDX-License-Identifier: LGPL-2.1-or-later
"""All that is tried in the booted system."""

import sys

import check
import instances
import journal
import lifecycle
import restart

if __name__ == "__main__":
    sys.exit(check.main(check.Booted, lifecycle.Lifecycle, journal.Journal, instances.Instances,
                        restart.Restart))
