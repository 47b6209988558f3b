"""One file per trained network, and the loop they share."""
