// SPDX-License-Identifier: Apache-2.0
// The error tiers: our bug, the user's input, the launch, a library. Each maps to one exit code.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace traindyno {

/// Exit codes of every subcommand (README, "Exit codes").
enum class ExitCode : int {
    done = 0,
    internal = 1,  ///< our bug, or a library failed
    usage = 2,     ///< command line or configuration
    launch = 3,    ///< launch sanity
    gate = 4,      ///< a gate such as --min-efficiency was missed
    hang = 5,      ///< deadline passed or a rank was lost
};

/// Source position of a caller, by default argument. Not std::source_location: clang-tidy 14 cannot
/// see it.
struct Where {
    const char* file = "";
    int line = 0;

    [[nodiscard]] static constexpr Where here(const char* file = __builtin_FILE(),
                                              int line = __builtin_LINE()) {
        return {file, line};
    }
};

class Error : public std::runtime_error {
  public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

    [[nodiscard]] ExitCode exit_code() const { return code_; }

  private:
    ExitCode code_;
};

/// An invariant of ours does not hold: a bug.
class ContractError : public Error {
  public:
    ContractError(const std::string& condition, Where where);
};

/// The user's input is wrong. Holds every problem found, each "problem (why) suggestion".
class ConfigError : public Error {
  public:
    explicit ConfigError(std::vector<std::string> problems);

    [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

  private:
    std::vector<std::string> problems_;
};

/// The job was started in a way that makes its results meaningless.
class LaunchError : public Error {
  public:
    explicit LaunchError(const std::string& message) : Error(ExitCode::launch, message) {}
};

/// A deadline passed while waiting for other ranks.
class HangError : public Error {
  public:
    explicit HangError(const std::string& message) : Error(ExitCode::hang, message) {}
};

/// A library call failed.
class LibraryError : public Error {
  public:
    LibraryError(const std::string& library,
                 int code,
                 const std::string& text,
                 const std::string& call,
                 Where where);
};

/// Collects configuration problems so that all of them are reported at once.
class Problems {
  public:
    void add(std::string problem) { list_.push_back(std::move(problem)); }

    /// Runs `action`; a ConfigError it throws is added instead of propagating.
    template <class Action>
    void collect(Action&& action) {
        try {
            std::forward<Action>(action)();
        } catch (const ConfigError& error) {
            list_.insert(list_.end(), error.problems().begin(), error.problems().end());
        }
    }

    [[nodiscard]] bool empty() const { return list_.empty(); }

    /// Throws ConfigError with everything collected, if anything was.
    void throw_if_any() const;

  private:
    std::vector<std::string> list_;
};

namespace detail {
[[noreturn]] void contract_failed(const char* condition, Where where);
}

}  // namespace traindyno

/// Always-on invariant check: a failure is our bug (ContractError).
#define TD_EXPECT(condition)                                                              \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            ::traindyno::detail::contract_failed(#condition, ::traindyno::Where::here()); \
        }                                                                                 \
    } while (false)
