"""A static site over many run folders: rows that are alike in what a score hangs on are ranked, no others."""

from rlvr_harness.leaderboard.site import Choices, build_site

__all__ = ["Choices", "build_site"]
