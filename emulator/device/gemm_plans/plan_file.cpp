// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/plan_file.hpp"

#include <charconv>
#include <cmath>
#include <fstream>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include "emulator/base/error.hpp"
#include "emulator/base/unique_handle.hpp"

namespace traindyno {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view format_name = "traindyno gemm plans 1";
constexpr std::size_t hex_digits = 16;  // of one 64-bit word

struct DescriptorTraits {
    using Handle = int;

    static Handle null() { return -1; }

    static void destroy(Handle descriptor) noexcept { ::close(descriptor); }
};

using Descriptor = UniqueHandle<DescriptorTraits>;

std::string hex(const std::array<std::uint64_t, 8>& words) {
    std::string text;
    for (const std::uint64_t word : words) {
        text += fmt::format("{:016x}", word);
    }
    return text;
}

std::array<std::uint64_t, 8> words_of(std::string_view text) {
    std::array<std::uint64_t, 8> words{};
    bool fits = text.size() == words.size() * hex_digits;
    for (std::size_t i = 0; fits && i < words.size(); ++i) {
        const char* const begin = text.data() + i * hex_digits;
        const auto [end, error] = std::from_chars(begin, begin + hex_digits, words[i], 16);
        fits = error == std::errc{} && end == begin + hex_digits;
    }
    if (!fits) {
        throw ConfigError({"algorithm is not 128 hexadecimal digits"});
    }
    return words;
}

Json to_json(const PlanScope& scope, const std::string& key, const TunedPlan& plan) {
    return {{"device", scope.device},
            {"capability", scope.capability},
            {"multiprocessors", scope.multiprocessors},
            {"library", scope.library},
            {"key", key},
            {"algorithm", hex(plan.algorithm)},
            {"microseconds", plan.microseconds},
            {"rank", plan.rank}};
}

void add_entry(const Json& entry, PlanTable& plans) {
    const PlanScope scope{.device = entry.at("device").get<std::string>(),
                          .capability = entry.at("capability").get<std::string>(),
                          .multiprocessors = entry.at("multiprocessors").get<int>(),
                          .library = entry.at("library").get<std::string>()};
    const TunedPlan plan{.algorithm = words_of(entry.at("algorithm").get<std::string>()),
                         .microseconds = entry.at("microseconds").get<double>(),
                         .rank = entry.at("rank").get<int>()};
    const auto key = entry.at("key").get<std::string>();
    if (!parse_gemm_key(key)) {
        throw ConfigError({fmt::format("'{}' is not a key", key)});
    }
    if (!std::isfinite(plan.microseconds) || plan.microseconds <= 0) {
        throw ConfigError({"microseconds is not positive"});
    }
    plans[scope].insert_or_assign(key, plan);
}

void parse(const std::string& text, const std::string& name, PlanFile& result) {
    const auto damaged = [&](std::string_view what, std::string_view why) {
        result.notes.push_back(fmt::format(
            "{}: {} ({}) it is tuned anew; delete the file if this repeats", name, what, why));
    };
    try {
        const Json root = Json::parse(text);
        if (root.at("format").get<std::string>() != format_name) {
            damaged("not a file of plans that this version reads", root.at("format").dump());
            return;
        }
        for (const Json& entry : root.at("plans")) {
            try {
                add_entry(entry, result.plans);
            } catch (const Json::exception& error) {
                damaged("a plan cannot be used", error.what());
            } catch (const ConfigError& error) {
                damaged("a plan cannot be used", error.what());
            }
        }
    } catch (const Json::exception& error) {
        damaged("the plans cannot be read", error.what());
    }
}

std::string print(const PlanTable& plans) {
    Json list = Json::array();
    for (const auto& [scope, of_scope] : plans) {
        for (const auto& [key, plan] : of_scope) {
            list.push_back(to_json(scope, key, plan));
        }
    }
    return Json{{"format", format_name}, {"plans", list}}.dump(1) + "\n";
}

[[noreturn]] void cannot_write(const fs::path& file, const std::string& why) {
    throw ConfigError({fmt::format(
        "{}: tuned plans cannot be written ({}) choose another file or none", file.string(), why)});
}

/// Held until destroyed. A file system without locks costs a plan that another process wrote at
/// the same moment, no more: the file itself is replaced in one step.
Descriptor lock(const fs::path& file) {
    constexpr mode_t writable_by_all = 0666;  // the user's umask decides
    Descriptor lock(
        ::open((file.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, writable_by_all));
    while (!lock.empty() && ::flock(lock.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    return lock;
}

void replace(const fs::path& file, const std::string& text) {
    const fs::path temporary = file.string() + fmt::format(".{}.tmp", ::getpid());
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    std::error_code error;
    if (out) {
        fs::rename(temporary, file, error);
    }
    if (!out || error) {
        std::error_code ignored;
        fs::remove(temporary, ignored);
        cannot_write(file, error ? error.message() : "no space, or no such folder");
    }
}

}  // namespace

PlanFile read_plan_file(const fs::path& file) {
    PlanFile result;
    std::error_code error;
    if (!fs::exists(file, error) && !error) {
        return result;
    }
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    parse(text, file.string(), result);
    return result;
}

void merge_into_plan_file(const fs::path& file, const PlanTable& added) {
    if (file.has_parent_path()) {
        std::error_code error;
        fs::create_directories(file.parent_path(), error);
        if (error) {
            cannot_write(file, error.message());
        }
    }
    const Descriptor held = lock(file);
    PlanTable plans = read_plan_file(file).plans;
    for (const auto& [scope, of_scope] : added) {
        for (const auto& [key, plan] : of_scope) {
            plans[scope].insert_or_assign(key, plan);
        }
    }
    replace(file, print(plans));
}

}  // namespace traindyno
