"""Images and PDF pages are decoded in child processes that have limits of memory and time.

pool and process are the app's side; child, drawing and pages run in a child and are the only
modules that read an image or a PDF which somebody sent; wire is what the two sides say.
"""
