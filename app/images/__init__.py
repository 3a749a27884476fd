"""Images: kept byte for byte under their SHA-256, shown as WebP renditions."""
