"""Systems that make sound."""
