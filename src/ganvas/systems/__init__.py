"""Systems, one file each, in one folder a task. The file name is the name on the command line."""
