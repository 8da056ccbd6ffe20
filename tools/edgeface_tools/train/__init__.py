"""Fine-tuning by triplet loss."""
