# SPDX-License-Identifier: Apache-2.0
"""The cocotb benches that ``hwact verify`` runs; inside a simulator, or to start one.

Nothing here imports hwact: a bench knows ports, codes, expected codes and a latency, no more.
``launch.py`` builds and starts a simulator; ``stream.py`` and ``bare.py`` are the cocotb test
modules, one for each interface; the rest is shared by the two. Installed, the folder is
``hwact/sim``; a simulator always sees it as the package ``sim``.
"""
