"""python_test: a test that is a Python program, run by the distribution's /usr/bin/python3."""

def python_test(name, srcs, main = None, data = [], **kwargs):
    """A test that runs `main`, by default the one of `srcs` that is called name.py.

    It runs from the root of its runfiles, beside everything in `data`.

    Args:
      name: mail_in_test.
      srcs: all Python files of the test.
      main: the one that is run.
      data: programs and files it uses.
      **kwargs: size, tags, timeout, ... of the test.
    """
    main = main or name + ".py"
    native.sh_test(
        name = name,
        srcs = ["//tools/bazel:python_test.sh"],
        args = ["$(location %s)" % main],
        data = srcs + data,
        **kwargs
    )
