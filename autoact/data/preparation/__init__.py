"""From a table to tensors: split, imputation, scaling, windows."""
