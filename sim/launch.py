# SPDX-License-Identifier: Apache-2.0
"""Build a simulator or run a bench in it: a process of its own, so that it can be stopped whole.

``python launch.py job.json``, where the job holds ``action`` (``build`` or ``test``), ``simulator``, and the
keyword arguments of cocotb's ``Runner.build`` or ``Runner.test`` as ``arguments``. The exit status says
only whether the tools ran; what they found is in the files that they leave.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cocotb_tools.runner import get_runner


def main(path: str) -> None:
    """Do the job that a JSON file describes."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    runner = get_runner(job["simulator"])
    arguments = job["arguments"]
    if job["action"] == "build":
        arguments["timescale"] = tuple(arguments["timescale"])
        runner.build(**arguments)
    else:
        sys.path.insert(0, job["benches"])  # the runner hands sys.path to the simulator's Python
        runner.test(**arguments)


if __name__ == "__main__":
    main(sys.argv[1])
