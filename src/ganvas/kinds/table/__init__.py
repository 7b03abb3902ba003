"""Everything that is special about tables, and nothing else of ganvas knows. The kind itself is in `kind`."""
