"""Code that runs on the program's side of the wall: standard library only, started as plain files by `python -I -S`."""
