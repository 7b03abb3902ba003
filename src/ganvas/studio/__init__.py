"""`ganvas studio`: ganvas as pages in a browser, served on this machine alone.

What the pages show is read from run folders; what they do is a command of ganvas, started as a process of its own, whose line
is shown. So nothing is known here that the command line does not know, and a studio that ends takes nothing with it. Pages
know no system, no use and no kind of data by name: they are made from the tables. Not for serving other machines.
"""
