"""Builds the sandbox's container image from this Python, without a registry: `python sandbox/build_image.py --help`."""

import sys

from rlvr_sandbox.image import main

if __name__ == "__main__":
    sys.exit(main())
