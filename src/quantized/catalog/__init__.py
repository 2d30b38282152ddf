"""Models and rates as data, their look-up, and the only cost arithmetic there is."""
