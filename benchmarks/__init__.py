"""Speed as ratios, measured in one run against a named alternative."""
