"""What a frozen network says of an image is computed once and kept, by content."""
