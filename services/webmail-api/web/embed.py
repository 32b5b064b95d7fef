"""embed.py FILE...: the files as C++, for assets.cc."""

import os
import sys


def main():
    print("// Made by web/embed.py.")
    print("namespace godwit::webmail_api {")
    print("struct EmbeddedFile {\n  const char* name;\n  const unsigned char* octets;\n  unsigned long size;\n};")
    rows = []
    for number, path in enumerate(sys.argv[1:]):
        with open(path, "rb") as source:
            octets = source.read()
        print(f"static const unsigned char kFile{number}[] = {{")
        for begin in range(0, len(octets), 24):
            print(",".join(str(octet) for octet in octets[begin:begin + 24]) + ",")
        print("};")
        rows.append(f'    {{"/{os.path.basename(path)}", kFile{number}, {len(octets)}}},')
    print("extern const EmbeddedFile kEmbeddedFiles[];\nextern const unsigned long kEmbeddedFileCount;")
    print("const EmbeddedFile kEmbeddedFiles[] = {\n" + "\n".join(rows) + "\n};")
    print(f"const unsigned long kEmbeddedFileCount = {len(rows)};")
    print("}  // namespace godwit::webmail_api")


if __name__ == "__main__":
    main()
