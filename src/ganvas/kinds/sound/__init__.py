"""Everything that is special about sounds, and nothing else of ganvas knows. The kind itself is in `kind`."""
