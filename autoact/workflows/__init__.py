"""What a user can do: a function for each verb of the command line, which parses words and prints what it returns."""
