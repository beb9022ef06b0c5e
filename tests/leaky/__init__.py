"""An app whose tools give secrets away in every way that comes to mind."""
