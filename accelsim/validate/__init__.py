"""accelsim beside independent implementations of the same machines."""
