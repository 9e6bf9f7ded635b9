"""What is installed, unsupported or missing.

model_table.py the published files (model_table.json); report.py files -> a report; report_text.py a
report in words; file_names.py what browsers add to names.
"""
