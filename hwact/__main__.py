# SPDX-License-Identifier: Apache-2.0
"""``python -m hwact``."""

from hwact.cli import main

if __name__ == "__main__":
    main()
