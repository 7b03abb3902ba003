"""Systems that make new records from noise, or from noise and a label."""
