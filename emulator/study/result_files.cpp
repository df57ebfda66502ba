// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/result_files.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/unique_handle.hpp"
#include "emulator/study/analysis.hpp"
#include "emulator/study/study_json.hpp"

namespace traindyno {

namespace {

namespace fs = std::filesystem;

struct DescriptorTraits {
    using Handle = int;

    static Handle null() { return -1; }

    static void destroy(Handle descriptor) noexcept { ::close(descriptor); }
};

using Descriptor = UniqueHandle<DescriptorTraits>;

[[noreturn]] void cannot_write(const fs::path& path, const std::error_code& error) {
    throw ConfigError({fmt::format("{}: cannot be written ({}) free space or choose another --out",
                                   path.string(),
                                   error.message())});
}

[[noreturn]] void cannot_write(const fs::path& path) {
    cannot_write(path, std::error_code(errno, std::generic_category()));
}

/// Removes a temporary file unless it was renamed away.
class TemporaryFile {
  public:
    explicit TemporaryFile(fs::path path) : path_(std::move(path)) {}

    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    TemporaryFile(TemporaryFile&&) = delete;
    TemporaryFile& operator=(TemporaryFile&&) = delete;

    ~TemporaryFile() {
        std::error_code ignored;
        fs::remove(path_, ignored);
    }

    [[nodiscard]] const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

void write_all(int descriptor, std::string_view text, const fs::path& path) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0 && errno != EINTR) {
            cannot_write(path);
        }
        text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    if (::fsync(descriptor) != 0) {
        cannot_write(path);
    }
}

void make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        cannot_write(folder, error);
    }
}

std::vector<Point> read_points(const fs::path& folder) {
    std::vector<Point> points;
    if (!fs::is_directory(folder)) {
        return points;
    }
    std::vector<fs::path> files;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".json") {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    Problems problems;
    for (const fs::path& file : files) {
        problems.collect(
            [&] { points.push_back(parse_point(read_text_file(file), file.string())); });
    }
    problems.throw_if_any();
    return points;
}

Study read_study(const fs::path& file) {
    return parse_study(read_text_file(file), file.string());
}

Study read_folder(const fs::path& folder) {
    const fs::path whole = folder / "study.json";
    const fs::path start = folder / "header.json";
    if (!fs::exists(start)) {
        if (!fs::exists(whole)) {
            throw ConfigError({fmt::format(
                "{}: holds no results (neither study.json nor header.json is in it) name the "
                "--out folder of a scale or run job",
                folder.string())});
        }
        return read_study(whole);
    }
    Study header = read_study(start);
    if (fs::exists(whole)) {
        Study study = read_study(whole);
        if (study.created >= header.created) {
            return study;
        }
    }
    header.points = read_points(folder / "points");
    header.flags_raised.emplace_back("the job did not finish: points may be missing");
    return header;
}

}  // namespace

void write_file(const fs::path& path, std::string_view text) {
    if (path.has_parent_path()) {
        make_folder(path.parent_path());
    }
    const TemporaryFile temporary(path.string() + fmt::format(".{}.tmp", ::getpid()));
    constexpr mode_t readable_by_all = 0666;  // the user's umask decides
    const Descriptor descriptor(::open(
        temporary.path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, readable_by_all));
    if (descriptor.empty()) {
        cannot_write(path);
    }
    write_all(descriptor.get(), text, path);
    std::error_code error;
    fs::rename(temporary.path(), path, error);
    if (error) {
        cannot_write(path, error);
    }
    // The new name itself must survive a crash. Best effort: some file systems refuse.
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent.empty()) {
        ::fsync(parent.get());
    }
}

void write_header(const fs::path& folder, const Study& study) {
    Study header = study;
    header.points.clear();
    header.stragglers.clear();
    write_file(folder / "header.json", to_json(header));
}

void write_point(const fs::path& folder, const Point& point) {
    write_file(folder / "points" / fmt::format("point-{}.json", point.ranks), to_json(point));
}

void write_study(const fs::path& folder, const Study& study) {
    write_file(folder / "study.json", to_json(study));
}

Study read_results(const fs::path& path) {
    std::error_code error;
    Study study = fs::is_directory(path, error) ? read_folder(path) : read_study(path);
    complete(study);
    return study;
}

}  // namespace traindyno
