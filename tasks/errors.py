"""What a step raises when it refuses to go on; every message says what was expected, what was seen and what to do."""


class TaskError(Exception):
    """A step stopped on purpose; nothing that was live or complete before it has changed."""


class BadInput(TaskError):
    """The input was refused: a retry cannot help until somebody changes the input."""


class NotReady(TaskError):
    """An input has not arrived or a service is away: the same call may work later."""
