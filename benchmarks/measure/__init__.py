"""The measurements: one file each, every one with its floor measured in the same rounds."""
