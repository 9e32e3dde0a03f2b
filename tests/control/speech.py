"""A scripted speaker for tests: says what it was asked to say, so that a test sees value, filter and currency."""


class PlainSpeaker:
    def say(self, value, filter, *, currency=""):  # noqa: A002
        if filter == "money":
            return f"{currency} {value / 100:.2f}"
        return str(value)
