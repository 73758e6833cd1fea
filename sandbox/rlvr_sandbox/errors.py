"""What can go wrong with the sandbox itself; a program's own failures are never exceptions here."""


class SandboxError(Exception):
    """Base of all errors of this package."""


class SandboxUnavailable(SandboxError):
    """The backend, or the isolation level asked for, cannot be had on this machine."""


class TaskInvalid(SandboxError):
    """A task, program file or corpus is malformed."""
