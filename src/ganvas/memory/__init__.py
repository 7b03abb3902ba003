"""What a configuration needs of memory: counted, predicted without needing any of it, and measured in a fresh process.

`board` settles what is to be weighed and plays a short game of it, `predicting` plays that game on symbols, `workspace` and
`heap` know what the CPU takes beside the tensors, `measuring` plays it for real, `counting` is the accounting of Belmekki
et al. 2022, `fitting` looks for settings that fit, `answer` says all that in words. Not for speed: that is `ganvas.doctor`.
"""
