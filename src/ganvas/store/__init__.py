"""Files of any kind on their way in: found (`listing`), read under `guard`, kept decoded (`cache`), split (`splits`)."""
