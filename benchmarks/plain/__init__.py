"""A site with two plain django-ninja operations, behind the product's middleware: what the API is measured against."""
