"""The commands of the command line beside those that sample; each calls one function and prints what it gives."""
