"""What can go wrong, as two lines: what is wrong, and the command or change that mends it.

CrossdimError                exit 1   some items, or the training, failed
├── UsageError               exit 2   an option or the configuration is wrong
├── InputError               exit 3   an input is missing, stale, damaged or foreign
└── EnvironmentLacks         exit 4   no such GPU, no GL device, not enough memory
ItemError                             one item cannot be processed: recorded with its reason
"""


class CrossdimError(Exception):
    """Base of every error that a user sees; `str(error)` is the first line, `hint` the second."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(CrossdimError):
    """An option, an argument or the configuration file is wrong."""

    exit_code = 2


class InputError(CrossdimError):
    """Something that the command reads is missing, stale, damaged or not ours."""

    exit_code = 3


class EnvironmentLacks(CrossdimError):
    """The machine lacks what was asked for."""

    exit_code = 4


class ItemError(Exception):
    """One item cannot be processed; the text is the reason kept beside its id."""
