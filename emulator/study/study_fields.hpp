// SPDX-License-Identifier: Apache-2.0
// The fields of study.json, each named once: writing and reading visit the same lists.
#pragma once

#include <concepts>
#include <type_traits>

#include "emulator/study/study.hpp"

namespace traindyno::detail {

template <class T>
concept Enumeration = std::is_enum_v<T>;

template <class T>
concept Record = std::is_class_v<T>;

template <class T, class Struct>
concept MaybeConst = std::same_as<std::remove_const_t<T>, Struct>;

// fields(object, visit) calls visit(key, member) in file order; `object` is const when writing.
// visit.unless_empty(key, member) is for members that most studies have nothing to say about: an
// empty one is not written, and one that is not there is read as empty.

template <MaybeConst<StepSeconds> T>
void fields(T& step, auto& visit) {
    visit("median", step.median);
    visit("ci95", step.ci95);
    visit("min", step.min);
    visit("p95", step.p95);
    visit("max", step.max);
    visit("mean", step.mean);
    visit("samples", step.samples);
}

template <MaybeConst<Layout> T>
void fields(T& layout, auto& visit) {
    visit("tp", layout.tp);
    visit("cp", layout.cp);
    visit("ep", layout.ep);
    visit("dp", layout.dp);
    visit("pp", layout.pp);
    visit("shard", layout.shard);
}

template <MaybeConst<CollectiveRow> T>
void fields(T& row, auto& visit) {
    visit("kind", row.kind);
    visit("group", row.group);
    visit.unless_empty("algorithm", row.algorithm);
    visit("ranks", row.ranks);
    visit("count", row.count);
    visit("bytes", row.bytes);
    visit("seconds", row.seconds);
    visit("algbw_gbs", row.algbw_gbs);
    visit("busbw_gbs", row.busbw_gbs);
}

template <MaybeConst<SlowdownShare> T>
void fields(T& slowdown, auto& visit) {
    visit("reason", slowdown.reason);
    visit("share", slowdown.share);
}

template <MaybeConst<TelemetrySummary> T>
void fields(T& gpu, auto& visit) {
    visit("uuid", gpu.uuid);
    visit("seconds", gpu.seconds);
    visit("samples", gpu.samples);
    visit("energy_joules", gpu.energy_joules);
    visit("mean_sm_clock_mhz", gpu.mean_sm_clock_mhz);
    visit("min_sm_clock_mhz", gpu.min_sm_clock_mhz);
    visit("max_sm_clock_mhz", gpu.max_sm_clock_mhz);
    visit("sm_clock_limit_mhz", gpu.sm_clock_limit_mhz);
    visit("mean_power_watts", gpu.mean_power_watts);
    visit("power_limit_watts", gpu.power_limit_watts);
    visit("max_temperature_c", gpu.max_temperature_c);
    visit("slowdowns", gpu.slowdowns);
}

template <MaybeConst<RankDetail> T>
void fields(T& rank, auto& visit) {
    visit("rank", rank.rank);
    visit("host", rank.host);
    visit("device", rank.device);
    visit("compute_seconds", rank.compute_seconds);
    visit("lateness_seconds", rank.lateness_seconds);
    visit("step_seconds", rank.step_seconds);
    visit("compute_z", rank.compute_z);
    visit("lateness_z", rank.lateness_z);
    visit("resident_bytes", rank.resident_bytes);
    visit.unless_empty("gpu", rank.gpu);
}

template <MaybeConst<Straggler> T>
void fields(T& straggler, auto& visit) {
    visit("ranks", straggler.ranks);
    visit("rank", straggler.rank);
    visit("host", straggler.host);
    visit("device", straggler.device);
    visit("reason", straggler.reason);
}

template <MaybeConst<TimeToTrain> T>
void fields(T& time, auto& visit) {
    visit("tokens", time.tokens);
    visit("seconds", time.seconds);
    visit("ideal_seconds", time.ideal_seconds);
}

template <MaybeConst<HostInfo> T>
void fields(T& host, auto& visit) {
    visit("name", host.name);
    visit("cpu", host.cpu);
    visit("cores", host.cores);
    visit("memory_bytes", host.memory_bytes);
    visit("kernel", host.kernel);
    visit("boot_id", host.boot_id);
}

template <MaybeConst<GpuInfo> T>
void fields(T& gpu, auto& visit) {
    visit("host", gpu.host);
    visit("name", gpu.name);
    visit("uuid", gpu.uuid);
    visit("memory_bytes", gpu.memory_bytes);
    visit("capability", gpu.capability);
}

template <MaybeConst<EnvironmentInfo> T>
void fields(T& environment, auto& visit) {
    visit("hosts", environment.hosts);
    visit("mpi", environment.mpi);
    visit("compute_library", environment.compute_library);
    visit("binding", environment.binding);
    visit("clock", environment.clock);
    visit("clock_error_seconds", environment.clock_error_seconds);
    visit("env", environment.env);
    visit.unless_empty("devices", environment.devices);
    visit.unless_empty("gpu_libraries", environment.gpu_libraries);
    visit.unless_empty("nccl", environment.nccl);
}

template <MaybeConst<TrainingSetup> T>
void fields(T& setup, auto& visit) {
    visit("micro_batch", setup.micro_batch);
    visit("global_batch", setup.global_batch);
    visit("precision", setup.precision);
    visit("recompute", setup.recompute);
    visit("schedule", setup.schedule);
    visit("bucket_bytes", setup.bucket);
    visit("overlap_gradients", setup.overlap_gradients);
    visit("overlap_p2p", setup.overlap_p2p);
    visit("memory", setup.memory);
    visit("virtual_stages", setup.virtual_stages);
    visit.unless_empty("stage_layers", setup.stage_layers);
    visit("sequence_parallel", setup.sequence_parallel);
    visit("overlap_tp", setup.overlap_tp);
    visit("context_exchange", setup.context_exchange);
    visit("context_balance", setup.context_balance);
    visit("zero", setup.zero);
    visit("prefetch", setup.prefetch);
    visit("overlap_parameters", setup.overlap_parameters);
    visit("gradient_type", setup.gradient_type);
    visit("gradient_reduction", setup.gradient_reduction);
    visit("capacity_factor", setup.capacity_factor);
    visit("expert_skew", setup.expert_skew);
}

template <MaybeConst<Model> T>
void fields(T& model, auto& visit) {
    visit("name", model.name);
    visit("layers", model.layers);
    visit("hidden", model.hidden);
    visit("heads", model.heads);
    visit("kv_heads", model.kv_heads);
    visit("head_size", model.head_size);
    visit("ffn", model.ffn);
    visit("seq", model.seq);
    visit("vocab", model.vocab);
    visit("gated_mlp", model.gated_mlp);
    visit("tied_embeddings", model.tied_embeddings);
    visit("norm", model.norm);
    visit("positions", model.positions);
    visit("bias", model.bias);
    visit("experts", model.experts);
    visit("top_k", model.top_k);
    visit("expert_ffn", model.expert_ffn);
    visit("shared_experts", model.shared_experts);
    visit("dense_layers", model.dense_layers);
    visit("nominal_parameters", model.nominal_parameters);
}

/// Both check counters share one JSON object, `checks`.
template <class Count>
struct Checks {
    Count& checked;
    Count& wrong;
};

template <class Count>
void fields(const Checks<Count>& checks, auto& visit) {
    visit("reduced_values_checked", checks.checked);
    visit("reduced_values_wrong", checks.wrong);
}

template <MaybeConst<Point> T>
void fields(T& point, auto& visit) {
    visit("ranks", point.ranks);
    visit("nodes", point.nodes);
    visit("layout", point.layout);
    visit("global_batch", point.global_batch);
    visit("micro_batches", point.micro_batches);
    visit("steps", point.steps);
    visit("warmup_steps", point.warmup_steps);
    visit("verdict", point.verdict);
    visit("step_seconds", point.step_seconds);
    visit("tokens_per_second", point.tokens_per_second);
    visit("tflops_per_rank", point.tflops_per_rank);
    visit("mfu", point.mfu);
    visit("hfu", point.hfu);
    visit("mfu_causal", point.mfu_causal);
    visit("efficiency", point.efficiency);
    visit("efficiency_ci95", point.efficiency_ci95);
    visit("budget_seconds", point.budget);
    visit("slowest_rank_budget_seconds", point.slowest_rank_budget);
    visit("budget_spread_seconds", point.budget_spread);
    visit("loss", point.loss);
    visit("exposed_by_removal_seconds", point.exposed_by_removal);
    visit("collectives", point.collectives);
    visit("memory_bytes", point.memory);
    visit("ranks_detail", point.ranks_detail);
    using Count = std::remove_reference_t<decltype((point.reduced_values_checked))>;
    Checks<Count> checks{point.reduced_values_checked, point.reduced_values_wrong};
    visit("checks", checks);
    visit("time_to_train", point.time_to_train);
    visit.unless_empty("energy_joules", point.energy_joules);
    visit.unless_empty("joules_per_token", point.joules_per_token);
}

/// The model as written: its shape and what the study derived from it.
template <class StudyType>
struct ModelEntry {
    StudyType& study;
};

template <class StudyType>
void fields(const ModelEntry<StudyType>& entry, auto& visit) {
    fields(entry.study.model, visit);
    visit("parameters", entry.study.parameters);
    visit("flops_per_token", entry.study.flops_per_token);
}

template <MaybeConst<Study> T>
void fields(T& study, auto& visit) {
    visit("version", study.version);
    visit("commands", study.commands);
    visit("created", study.created);
    visit("environment", study.environment);
    ModelEntry<T> model{study};
    visit("model", model);
    visit("setup", study.setup);
    visit("scaling", study.scaling);
    visit("device", study.device);
    visit("machine", study.machine);
    visit("provenance", study.provenance);
    visit("flags_raised", study.flags_raised);
    visit("points", study.points);
    visit("stragglers", study.stragglers);
}

}  // namespace traindyno::detail
