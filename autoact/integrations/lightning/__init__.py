"""The user's own LightningModule and LightningDataModule."""
