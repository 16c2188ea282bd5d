"""The record: usage points, versions, determinants, delivery."""
