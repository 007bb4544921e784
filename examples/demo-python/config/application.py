NAME = "Holdall demo"
# With it a page of the framework's would show the source of what failed.
DEBUG = False
