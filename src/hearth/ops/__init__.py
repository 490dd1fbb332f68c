"""What keeps hearth running on a machine: the daemon's life seen from outside, and the doctor."""
