"""Recipes that train, distil, measure and export the project's own networks."""
