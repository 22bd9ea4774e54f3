"""autoact inside other people's frameworks."""
