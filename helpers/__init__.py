"""What a lesson may import. The rooms and their order are listed in the README."""
