"""Sequences of symbols: texts and melodies."""
