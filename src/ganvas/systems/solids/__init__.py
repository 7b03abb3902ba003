"""Systems that make solid shapes from noise."""
