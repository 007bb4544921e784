import os

NAME = "Holdall"
ENV = "local"
DEBUG = os.environ.get("TEST_DEBUG", "True") == "True"
KEY = os.environ["KEY"]
URL = "http://127.0.0.1"
BASE_DIRECTORY = os.getcwd()
STATIC_ROOT = "storage"
# 2.3 loads what is in these directories in a way that Python 3.8 ended.
AUTOLOAD = ["no_such_directory"]
PROVIDERS = []
