"""What `scripts/evaluate.py` is made of: packs, encoders, stages, metrics, own data and targets."""
