"""Everything that is special about label maps, and nothing else of ganvas knows. The kind itself is in `kind`."""
