"""Everything that is special about series, and nothing else of ganvas knows. The kind itself is in `kind`."""
