// SPDX-License-Identifier: Apache-2.0
// The lifetime of MPI in this process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "collectives/communicator.hpp"
#include "emulator/base/ids.hpp"

namespace traindyno {

/// First object in main; everything that uses MPI lives inside its scope, the try/catch too. MPI
/// errors are returned, not fatal, while it lives. All MPI calls come from the thread that made it.
class MpiSession {
  public:
    MpiSession(int& argc, char**& argv);
    /// Finalizes. Aborts the job while an exception is in flight: finalizing would wait for ever
    /// for ranks that wait for this one.
    ~MpiSession();

    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;
    MpiSession(MpiSession&&) = delete;
    MpiSession& operator=(MpiSession&&) = delete;

    [[nodiscard]] WorldRank rank() const { return rank_; }

    [[nodiscard]] std::int64_t size() const { return size_; }

    /// A new communicator of all ranks. Collective; must not outlive the session.
    [[nodiscard]] std::unique_ptr<Communicator> world() const;

    /// Ends every process of the job. Does not return.
    void abort(int exit_code, std::string_view reason) const noexcept;

    /// "Open MPI v4.1.4, package: ...". Works without a session.
    [[nodiscard]] static std::string version();

  private:
    WorldRank rank_;
    std::int64_t size_ = 1;
    int exceptions_at_start_ = 0;
};

}  // namespace traindyno
