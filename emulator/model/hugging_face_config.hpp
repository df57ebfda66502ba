// SPDX-License-Identifier: Apache-2.0
// A config.json as Hugging Face models have it: its values, and what is wrong with them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "emulator/base/error.hpp"
#include "emulator/model/model.hpp"

namespace traindyno {

/// A config.json, the problems found in it, and what of it our Model cannot say. Unlike our own
/// files it holds many keys that are none of our business, so unknown ones pass.
class HuggingFaceConfig {
  public:
    explicit HuggingFaceConfig(std::filesystem::path path);
    ~HuggingFaceConfig();
    HuggingFaceConfig(const HuggingFaceConfig&) = delete;
    HuggingFaceConfig& operator=(const HuggingFaceConfig&) = delete;
    HuggingFaceConfig(HuggingFaceConfig&&) = delete;
    HuggingFaceConfig& operator=(HuggingFaceConfig&&) = delete;

    [[nodiscard]] bool has(const char* key) const;
    /// A key the family always writes.
    [[nodiscard]] std::int64_t integer(const char* key);
    /// `fallback` where the key is absent or null.
    [[nodiscard]] std::int64_t integer_or(const char* key, std::int64_t fallback);
    [[nodiscard]] double number_or(const char* key, double fallback) const;
    [[nodiscard]] bool flag_or(const char* key, bool fallback);
    [[nodiscard]] std::string text_or(const char* key, std::string fallback) const;
    /// Integers of an array; none where the key is absent.
    [[nodiscard]] std::vector<std::int64_t> list(const char* key);

    void report(std::string_view key, std::string_view problem);
    [[nodiscard]] bool reported(std::string_view key) const;

    void throw_if_any() const { problems_.throw_if_any(); }

    /// Notes that the model has what `key` says but the shape read from it does not.
    void leave_out(std::string_view key, std::string_view what);

    [[nodiscard]] const std::vector<std::string>& left_out() const { return left_out_; }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
    std::unique_ptr<nlohmann::json> json_;
    Problems problems_;
    std::vector<std::string> reported_;
    std::vector<std::string> left_out_;
};

/// What all families after GPT-2 call by the same names.
[[nodiscard]] Model read_common(HuggingFaceConfig& config);

/// Llama, Mistral and Qwen3: RMSNorm, SwiGLU, biases only on request.
[[nodiscard]] Model read_llama(HuggingFaceConfig& config);

// Families with experts.
[[nodiscard]] Model read_mixtral(HuggingFaceConfig& config);
[[nodiscard]] Model read_qwen2_moe(HuggingFaceConfig& config);
[[nodiscard]] Model read_qwen3_moe(HuggingFaceConfig& config);
/// DeepSeek-V2 and V3. Multi-head latent attention becomes grouped queries with as many weights.
[[nodiscard]] Model read_deepseek(HuggingFaceConfig& config);

}  // namespace traindyno
