"""What is installed and missing, and downloads on request; also runs without the host's server
(scripts/doctor).

scan.py          files in the host's folders -> the report
fetch.py         one file of the model table -> the host's folder, checked
hub.py           what huggingface_hub does for that
jobs.py          downloads in the background, one at a time
graph_stamps.py  file names in graphs -> rows of the model table
routes.py        all of it for the browser
node.py          IPAdapter Doctor
"""
