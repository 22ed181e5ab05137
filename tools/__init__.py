"""What is done to the repository, and is no part of the package."""
