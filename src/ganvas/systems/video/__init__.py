"""Systems that make or change clips."""
