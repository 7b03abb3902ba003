"""Everything that is special about points, and nothing else of ganvas knows. The kind itself is in `kind`."""
