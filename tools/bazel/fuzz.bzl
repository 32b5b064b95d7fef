"""cc_fuzz_test: one fuzz target, which is also a test that replays its corpus."""

def cc_fuzz_test(name, srcs, corpus = [], dict = None, deps = [], size = "small", tags = [], **kwargs):
    """A test from a file that defines LLVMFuzzerTestOneInput and no main.

    `bazel test` runs every file of `corpus` through it; under --config=fuzz the binary is
    libFuzzer's own, and `tools/test --fuzz MINUTES` finds it by the tag "fuzz".

    Args:
      name: foo_fuzz.
      srcs: foo_fuzz.cc.
      corpus: inputs kept with the source, glob(["testdata/foo_corpus/**"]).
      dict: libFuzzer dictionary (optional).
      deps: libraries.
      size: of the test.
      tags: of the test.
      **kwargs: for cc_test.
    """
    native.filegroup(
        name = name + "_corpus",
        srcs = corpus,
        testonly = True,
    )
    if dict:
        native.filegroup(name = name + "_dict", srcs = [dict], testonly = True)
    native.cc_test(
        name = name,
        size = size,
        srcs = srcs,
        args = select({
            "//tools/bazel:fuzzing": ["-runs=0"],
            "//conditions:default": [],
        }) + ["$(location %s)" % file for file in corpus],
        data = corpus + ([dict] if dict else []),
        linkopts = select({
            "//tools/bazel:fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        tags = tags + ["fuzz"],
        deps = deps + select({
            "//tools/bazel:fuzzing": [],
            "//conditions:default": ["//tools/bazel:fuzz_replay_main"],
        }),
        **kwargs
    )
