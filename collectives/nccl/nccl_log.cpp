// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "collectives/nccl/nccl_environment.hpp"

namespace traindyno {

namespace {

/// Of NCCL 2.19 to 2.30: src/init.cc, src/transport/net_*.cc, src/graph/{paths,topo}.cc.
constexpr std::array<std::string_view, 9> tell_tales{"NCCL version",
                                                     "Using network",
                                                     "NET/IB : Using",
                                                     "NET/Socket : Using",
                                                     "NET/Plugin: ",
                                                     "NET/IB : No device found",
                                                     " for HCA ",  // whether NICs reach GPU memory
                                                     "NVLS multicast support",
                                                     "coll channels"};

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// "host:12:34 [0] NCCL INFO message" -> "message"; "" for anything that is not information.
std::string_view message_of(std::string_view line) {
    constexpr std::string_view mark = "NCCL INFO ";
    constexpr std::string_view version = "NCCL version";
    if (line.substr(0, version.size()) == version) {  // NCCL_DEBUG=VERSION prints no prefix
        return line;
    }
    const std::size_t at = line.find(mark);
    return at == std::string_view::npos ? std::string_view{} : line.substr(at + mark.size());
}

/// "Channel 00/0 : 0[0] -> 1[1] [send] via NET/IB/0/GDRDMA" -> "NET/IB/0/GDRDMA"; "" for others.
std::string_view way_of(std::string_view message) {
    constexpr std::string_view via = " via ";
    const std::size_t at = message.rfind(via);
    const bool connection = message.substr(0, 8) == "Channel " && at != std::string_view::npos;
    return connection ? message.substr(at + via.size()) : std::string_view{};
}

/// "comm 0x55d0 rank 0 nRanks 8 nNodes 1 ..." -> "rank 0 nRanks 8 nNodes 1 ..."
std::string_view without_pointer(std::string_view message) {
    const std::size_t at = message.find("rank ");
    return at == std::string_view::npos ? message : message.substr(at);
}

std::filesystem::path make_log_file() {
    std::string name = (std::filesystem::temp_directory_path() / "traindyno-nccl-XXXXXX").string();
    const int file = mkstemp(name.data());
    if (file < 0) {
        throw std::system_error(errno, std::generic_category(), "cannot create " + name);
    }
    close(file);
    return name;
}

/// NCCL replaces %h and %p.
std::string escaped(const std::string& path) {
    std::string result;
    for (const char letter : path) {
        result += letter == '%' ? "%%" : std::string(1, letter);
    }
    return result;
}

}  // namespace

std::vector<std::string> interesting_lines(std::string_view log) {
    std::vector<std::string> lines;
    std::map<std::string, int, std::less<>> connections;
    const auto add = [&](std::string_view text) {
        if (std::find(lines.begin(), lines.end(), text) == lines.end()) {
            lines.emplace_back(text);
        }
    };
    while (!log.empty()) {
        const std::size_t end = std::min(log.find('\n'), log.size());
        const std::string_view message = message_of(log.substr(0, end));
        log.remove_prefix(std::min(end + 1, log.size()));
        if (const std::string_view way = way_of(message); !way.empty()) {
            ++connections[std::string{way}];
        } else if (contains(message, " nRanks ") && contains(message, " nNodes ")) {
            add(without_pointer(message));
        } else if (std::any_of(tell_tales.begin(), tell_tales.end(), [&](std::string_view tell) {
                       return contains(message, tell);
                   })) {
            add(message);
        }
    }
    for (const auto& [way, count] : connections) {
        lines.push_back(fmt::format("{} connections via {}", count, way));
    }
    return lines;
}

NcclLog::NcclLog() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
    if (std::getenv("NCCL_DEBUG") != nullptr) {
        return;
    }
    file_ = make_log_file();
    set_where_unset({{"NCCL_DEBUG", "INFO"},
                     {"NCCL_DEBUG_SUBSYS", "INIT,NET,GRAPH"},
                     {"NCCL_DEBUG_FILE", escaped(file_.string())}});
}

NcclLog::~NcclLog() {
    std::error_code ignored;  // a temporary file that stays behind harms nobody
    std::filesystem::remove(file_, ignored);
}

std::vector<std::string> NcclLog::lines() const {
    std::ifstream file(file_);
    return interesting_lines(
        std::string{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}});
}

}  // namespace traindyno
