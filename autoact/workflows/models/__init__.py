"""Models from a recommendation: trained, delivered to a store or a folder, fetched again, and scored with."""
