"""Everything that is special about poses, and nothing else of ganvas knows. The kind itself is in `kind`."""
