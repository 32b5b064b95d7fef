// Runs LLVMFuzzerTestOneInput over every file of the folders and files named on the command line,
// in the order of their names: what `bazel test` does with a fuzz target. --config=fuzz links
// libFuzzer's main instead.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void Replay(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

// Corpus files that git or a runfiles tree put there are symbolic links: they are followed.
std::vector<std::filesystem::path> FilesOf(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(root)) return {root};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  Replay("");
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& path : FilesOf(argv[i])) {
      std::ifstream file(path, std::ios::binary);
      if (!file) {
        std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
        return 1;
      }
      // Named before it runs, so that a crash tells its file.
      std::printf("%s\n", path.c_str());
      std::fflush(stdout);
      Replay({std::istreambuf_iterator<char>(file), {}});
      ++count;
    }
  }
  std::printf("%zu inputs replayed\n", count);
  return 0;
}
