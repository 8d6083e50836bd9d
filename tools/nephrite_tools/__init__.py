"""What a person runs around nephrite's programs: reading products, figures, the report."""
