"""Runs a command and prints, as the last line of standard error, its duration and peak memory.

    python -S -E measure_process.py PROGRAM ARGUMENT...

Small on purpose: the kernel counts to a program's peak what the process that started it had (execve(2) keeps
the maximum). SIGTERM is passed on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

began = time.perf_counter()
program = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
signal.signal(signal.SIGTERM, lambda *_: os.kill(program, signal.SIGTERM))
_, status, usage = os.wait4(program, 0)
took_s = time.perf_counter() - began
unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss (getrusage(2))
print(json.dumps({"took_s": took_s, "peak_bytes": usage.ru_maxrss * unit}), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
