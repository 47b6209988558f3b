"""Metrics, compared systems, and the report on the test split."""
