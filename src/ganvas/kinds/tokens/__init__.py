"""Everything that is special about sequences of symbols, and nothing else of ganvas knows. The kind itself is in `kind`."""
