"""What is in a column: numbers, categories, moments, and how files of other tools write them."""
