"""What execute decides: which records of its log count, what is still to be done, and whether acting is allowed now."""
