"""``python -m INRSuperResolutionLib`` is the command ``inrsr``."""

import sys

from .cli import main

sys.exit(main())
