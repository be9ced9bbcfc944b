"""`python -m bot.cli` is `keepthread`."""

import sys

from bot.cli.main import main

sys.exit(main())
