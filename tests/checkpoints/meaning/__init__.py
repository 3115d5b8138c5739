"""Files whose tensors fit, and that mean something else by them."""
