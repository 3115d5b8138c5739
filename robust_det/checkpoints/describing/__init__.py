"""What a file says of its network: in words, in numbers beside it, and by its statistics."""
