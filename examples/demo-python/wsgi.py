"""The application, for any WSGI server that is started in this directory."""

from masonite.foundation import Application, CoreKernel
from masonite.utils.location import base_path

from app.Kernel import Kernel
from config.providers import PROVIDERS

application = Application(base_path())
application.register_providers(CoreKernel, Kernel)
application.add_providers(*PROVIDERS)
