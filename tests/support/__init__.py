"""What tests share.

memory     the peak of every process of a run, and the limit
"""
