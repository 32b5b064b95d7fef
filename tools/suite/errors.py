"""One sentence for the operator: what is wrong and, where it is known, what to do."""


class SuiteError(Exception):
    pass
