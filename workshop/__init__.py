"""The instructor's kit. What is made from the lessons is made by: python start.py workshop."""
