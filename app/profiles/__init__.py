"""Pitches, priorities, skill needs, training offers and trainees; their import."""
