"""Everything that is special about solids, and nothing else of ganvas knows. The kind itself is in `kind`."""
