"""Long work with progress; what a job does is known to the packages above."""
