"""accelsim compared with independent implementations of the same machines."""
