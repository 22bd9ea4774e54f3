"""From records to a result, its table and a recommendation."""
