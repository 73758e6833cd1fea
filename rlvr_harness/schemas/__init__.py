"""What results.json and run.json hold: one definition, from which their JSON Schemas are written and files are checked.

`results-1.json` and `run-1.json` beside this file are written by `python .ci/generate_docs.py`.
"""
