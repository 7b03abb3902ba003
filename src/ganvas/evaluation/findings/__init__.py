"""Findings in chest radiographs that a generator was not asked for: a detector, and how often it sees them in samples."""
