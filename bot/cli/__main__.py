"""`python -m bot.cli`: the command `keepthread`."""

import sys

from bot.cli.main import main

sys.exit(main())
