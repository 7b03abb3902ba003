"""Systems that make volumes of intensities."""
