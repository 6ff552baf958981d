"""Real processes under real load, for the tests of this folder."""
