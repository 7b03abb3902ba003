"""Everything that is special about volumes of intensities, and nothing else of ganvas knows. The kind itself is in `kind`."""
