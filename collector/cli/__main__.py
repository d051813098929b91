"""`python -m collector.cli`: the `netmatrix` command where it is not installed."""

import sys

from collector.cli import main

sys.exit(main())
