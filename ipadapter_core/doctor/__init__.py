"""What is installed, unsupported or missing.

model_table.py the published files (model_table.json); entries.py files and verdicts; report.py
files -> a report; face_pairs.py recognisers for adapters; recommendation.py what to download first;
report_text.py a report in words; file_names.py what browsers add to names.
"""
