"""Networks and losses that exist only in training."""
