"""A page to play with: labels from a few sentences, and MAML on a curve. Gradio alone is imported by `page` and `server`."""
