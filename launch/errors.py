"""The errors a user is meant to read."""


class CampaignError(RuntimeError):
    """Something the user can put right; the message is one sentence and says how.

    The command line prints the message alone, without a traceback, and exits with code 1.
    """
