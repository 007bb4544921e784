HTTP_MIDDLEWARE = []
ROUTE_MIDDLEWARE = {}
try:
    from masonite.middleware import ResponseMiddleware

    HTTP_MIDDLEWARE.append(ResponseMiddleware)
except ImportError:
    pass
