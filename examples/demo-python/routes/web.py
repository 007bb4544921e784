"""Which address does what. Assets have no session: they would age flash, and cost a read each."""

from masonite.routes import Route

ROUTES = [
    Route.get("/style.css", "AssetController@style"),
    Route.get("/icon.svg", "AssetController@icon"),
    *Route.group(
        [
            Route.get("/", "PageController@home"),
            Route.get("/session", "PageController@session"),
        ],
        middleware=["session"],
    ),
    *Route.group(
        [
            Route.post("/sign-in", "SignInController@sign_in"),
            Route.post("/sign-out", "SignInController@sign_out"),
            Route.post("/cart/add", "CartController@add"),
        ],
        middleware=["session", "csrf"],
    ),
    # Reads the cart and writes back what follows from it, so others have to wait.
    *Route.group([Route.post("/cart/remove", "CartController@remove")], middleware=["session:exclusive", "csrf"]),
]
