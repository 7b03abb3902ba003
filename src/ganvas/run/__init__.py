"""A run: its folder, settings, checkpoints, budget, live view, and the loop around the Engine."""
