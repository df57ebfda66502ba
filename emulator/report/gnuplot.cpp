// SPDX-License-Identifier: Apache-2.0
// Runs gnuplot on the charts' scripts and prepares its pictures for the page.
#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/error.hpp"
#include "emulator/report/charts.hpp"
#include "emulator/study/result_files.hpp"

namespace traindyno {

namespace {

namespace fs = std::filesystem;

/// What a child process does with its folder and output.
class SpawnActions {
  public:
    SpawnActions(const fs::path& folder, const char* log) {
        TD_EXPECT(::posix_spawn_file_actions_init(&actions_) == 0);
        constexpr mode_t readable_by_all = 0666;
        TD_EXPECT(::posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str()) == 0);
        TD_EXPECT(::posix_spawn_file_actions_addopen(
                      &actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0);
        TD_EXPECT(
            ::posix_spawn_file_actions_addopen(
                &actions_, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, readable_by_all) == 0);
        TD_EXPECT(::posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO) == 0);
    }

    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;
    SpawnActions(SpawnActions&&) = delete;
    SpawnActions& operator=(SpawnActions&&) = delete;

    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }

    [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

  private:
    posix_spawn_file_actions_t actions_{};
};

struct ProcessEnd {
    int start_error = 0;  ///< errno when the program could not be started
    int status = 0;       ///< as of waitpid
};

ProcessEnd run_gnuplot(const std::string& script, const fs::path& folder, const char* log) {
    const SpawnActions actions(folder, log);
    std::string program = "gnuplot";
    std::string defaults = "-d";  // no ~/.gnuplot: reports look the same for everybody
    std::string file = script;
    const std::array<char*, 4> arguments{program.data(), defaults.data(), file.data(), nullptr};
    ProcessEnd end;
    pid_t child = 0;
    end.start_error =
        ::posix_spawnp(&child, program.c_str(), actions.get(), nullptr, arguments.data(), environ);
    if (end.start_error == 0) {
        while (::waitpid(child, &end.status, 0) < 0 && errno == EINTR) {
        }
    }
    return end;
}

std::string first_line(const fs::path& file) {
    const std::string text = fs::exists(file) ? read_text_file(file) : "";
    const std::size_t start = std::min(text.find_first_not_of(" \n"), text.size());
    return text.substr(start, text.find('\n', start) - start);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

/// Removes every `open` ... `close`.
void remove_spans(std::string& text, std::string_view open, std::string_view close) {
    for (std::size_t at = text.find(open); at != std::string::npos; at = text.find(open, at)) {
        const std::size_t end = text.find(close, at);
        if (end == std::string::npos) {
            return;
        }
        text.erase(at, end + close.size() - at);
    }
}

/// Removes groups that hold nothing: gnuplot writes hundreds.
void remove_empty_groups(std::string& text) {
    constexpr std::string_view closing = ">\n</g>\n";
    for (std::size_t at = text.find(closing); at != std::string::npos;
         at = text.find(closing, at)) {
        const std::size_t open = text.rfind('<', at);
        if (text.compare(open, 3, "<g ") == 0) {
            text.erase(open, at + closing.size() - open);
            at = open;
        } else {
            at += closing.size();
        }
    }
}

std::string view_box(const std::string& svg) {
    constexpr std::string_view key = R"(viewBox=")";
    const std::size_t start = svg.find(key);
    TD_EXPECT(start != std::string::npos);
    const std::size_t value = start + key.size();
    return svg.substr(value, svg.find('"', value) - value);
}

}  // namespace

Drawing draw(const std::vector<Chart>& charts, const fs::path& folder) {
    constexpr const char* log = "gnuplot.log";
    Drawing drawing;
    for (const Chart& chart : charts) {
        write_file(folder / (chart.name + ".csv"), chart.csv);
        write_file(folder / (chart.name + ".gp"), chart.script);
    }
    for (const Chart& chart : charts) {
        const fs::path picture = folder / (chart.name + ".svg");
        std::error_code ignored;
        fs::remove(picture, ignored);
        const ProcessEnd end = run_gnuplot(chart.name + ".gp", folder, log);
        const std::string complaint = first_line(folder / log);
        fs::remove(folder / log, ignored);
        if (end.start_error != 0) {
            drawing.notes.push_back(fmt::format(
                "No charts were drawn: gnuplot cannot be started ({}). Install it "
                "(Debian, Ubuntu: apt-get install gnuplot-nox) and write the report again.",
                std::generic_category().message(end.start_error)));
            return drawing;
        }
        if (end.status == 0 && fs::exists(picture)) {
            drawing.names.push_back(chart.name);
        } else {
            drawing.notes.push_back(
                fmt::format("Chart {} was not drawn: gnuplot failed ({}).",
                            chart.name,
                            complaint.empty() ? fmt::format("status {}", end.status) : complaint));
        }
    }
    return drawing;
}

std::string inline_svg(const std::string& svg, const std::string& name, const std::string& title) {
    const std::size_t start = svg.find("<svg");
    TD_EXPECT(start != std::string::npos);
    std::string body = svg.substr(svg.find('>', start) + 1);
    remove_spans(body, "<title>", "</title>");
    remove_spans(body, "<desc>", "</desc>");
    remove_spans(body, "<filter", "</filter>");
    remove_empty_groups(body);
    replace_all(body, "xlink:href", "href");
    replace_all(body, "id='gp", "id='" + name + "-gp");
    replace_all(body, "'#gp", "'#" + name + "-gp");
    replace_all(body, R"(id="gnuplot_)", R"(id=")" + name + "-");
    // What follows the page's light and dark colours.
    replace_all(body, R"(fill="black")", R"css(fill="var(--ink)")css");
    replace_all(body, "rgb(119, 119, 119)", "var(--axis)");
    replace_all(body, "rgb(221, 221, 221)", "var(--rule)");
    replace_all(body, "rgb(255, 255, 255)", "var(--paper)");
    return fmt::format(
        R"(<svg viewBox="{}" role="img" aria-label="{}">{})", view_box(svg), title, body);
}

}  // namespace traindyno
