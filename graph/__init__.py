"""Domain types, units, time, errors, the site pack and the stores."""
