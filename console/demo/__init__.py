"""The demonstration: from simulated meters to billed energy, held against the truth."""
