"""Blocks that three or more systems build from. A block used by fewer lives in the system's own file."""
