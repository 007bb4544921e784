"""A page about what went wrong. Has no session: it neither counts, nor ages flash, nor needs the storage to work."""


def problem(application, status, title, text):
    response = application.make("response").status(status)
    return response.view(application.make("view").render("problem", {"title": title, "text": text}))
