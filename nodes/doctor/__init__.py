"""What is installed and missing, and downloads on request; also runs without the host's server
(scripts/doctor).

scan          files in the host's folders -> the report
fetch         one file of the model table -> the host's folder, checked
hub           what huggingface_hub does for that
jobs          downloads in the background, one at a time
graph_stamps  file names in graphs -> rows of the model table
routes        all of it for the browser
node          IPAdapter Doctor
"""
