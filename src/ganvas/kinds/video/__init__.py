"""Everything that is special about video, and nothing else of ganvas knows. The kind itself is in `kind`."""
