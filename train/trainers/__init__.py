"""One file a trained network, and the loop they share."""
