"""What somebody typed into a form, and what may be wrong with it."""

MAX_CHARACTERS = 80


def field(request, name):
    """A field of the form, empty where it is missing or a list of several."""
    text = request.input(name)
    return text if isinstance(text, str) else ""


def typed(request, name):
    return field(request, name).strip(" \t\r\n")


def complaint(text, what):
    """What is wrong with a text; empty if nothing is."""
    if not text:
        return f"Please type {what}."
    # What the framework puts in the place of bytes that are not.
    if "\N{REPLACEMENT CHARACTER}" in text:
        return "That text is not valid UTF-8."
    if len(text) > MAX_CHARACTERS:
        return f"Please keep it to {MAX_CHARACTERS} characters."
    return ""


def complain(session, why, name, text):
    """Says why not, and keeps what was typed, so that it need not be typed again."""
    session.flash("problem", why)
    session.session.flash_input({name: text})
