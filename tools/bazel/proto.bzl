"""grpc_proto_library: C++ from .proto files, with the distribution's protoc."""

ProtoSources = provider(fields = {"files": "depset of the .proto files, imports included"})

def _generate_impl(ctx):
    imported = [dep[ProtoSources].files for dep in ctx.attr.deps]
    files = depset(ctx.files.srcs, transitive = imported)
    hdrs, srcs = [], []
    for proto in ctx.files.srcs:
        if not proto.basename.endswith(".proto"):
            fail("%s is no .proto file" % proto.path)
        stem = proto.basename[:-len(".proto")]
        for kind in ["pb", "grpc.pb"] if ctx.attr.grpc else ["pb"]:
            hdrs.append(ctx.actions.declare_file("%s.%s.h" % (stem, kind)))
            srcs.append(ctx.actions.declare_file("%s.%s.cc" % (stem, kind)))
    args = ctx.actions.args()
    args.add("--proto_path=.")
    args.add("--cpp_out=" + ctx.bin_dir.path)
    if ctx.attr.grpc:
        args.add("--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin")
        args.add("--grpc_out=" + ctx.bin_dir.path)
    args.add_all(ctx.files.srcs)
    ctx.actions.run(
        executable = "/usr/bin/protoc",
        arguments = [args],
        inputs = files,
        outputs = hdrs + srcs,
        mnemonic = "Protoc",
        progress_message = "Generating C++ from %{label}",
    )
    return [
        DefaultInfo(files = depset(hdrs + srcs)),
        OutputGroupInfo(hdrs = depset(hdrs), srcs = depset(srcs)),
        ProtoSources(files = files),
    ]

_generate = rule(
    implementation = _generate_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".proto"], mandatory = True),
        "deps": attr.label_list(providers = [ProtoSources]),
        "grpc": attr.bool(),
    },
)

def grpc_proto_library(name, srcs, deps = [], grpc = False, visibility = None, testonly = False):
    """A cc_library of the C++ of `srcs`.

    Include it by the path of the .proto file: "proto/godwit/queue/v1/queue.pb.h", and
    ".grpc.pb.h" with grpc = True. Imports are written from the root of the tree.

    Args:
      name: queue_proto.
      srcs: .proto files of this folder.
      deps: other grpc_proto_library targets whose files are imported.
      grpc: also make service classes.
      visibility: as usual.
      testonly: as usual.
    """
    _generate(
        name = name + "_gen",
        srcs = srcs,
        deps = [_gen_label(dep) for dep in deps],
        grpc = grpc,
        testonly = testonly,
        visibility = visibility,
    )
    for group in ["hdrs", "srcs"]:
        native.filegroup(
            name = "%s_%s" % (name, group),
            srcs = [":%s_gen" % name],
            output_group = group,
            testonly = testonly,
            visibility = ["//visibility:private"],
        )
    native.cc_library(
        name = name,
        srcs = [":%s_srcs" % name],
        hdrs = [":%s_hdrs" % name],
        copts = ["-w"],
        deps = deps + ["@system//:grpc" if grpc else "@system//:protobuf"],
        testonly = testonly,
        visibility = visibility,
    )

def _gen_label(label):
    """The generating target that stands behind a grpc_proto_library's label."""
    if ":" in label:
        return label + "_gen"
    return "%s:%s_gen" % (label, label.split("/")[-1])
