// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "emulator/report/pipeline.hpp"

namespace traindyno {

std::optional<Section> pipeline_section(const Study& study) {
    const std::optional<DrawnPipeline> drawn = drawn_pipeline(study);
    if (!drawn) {
        return std::nullopt;
    }
    const PassTimeline& timeline = drawn->timeline;
    const double idle = timeline.mean_idle_seconds();
    return Section{
        .id = "pipeline",
        .title = "Pipeline schedule",
        .contents = {
            Figures{{"schedule"}},
            Paragraph{fmt::format("In unit time each stage idles for {:.4g} passes while the step "
                                  "lasts {:.4g}; the formula {} gives {:.4g}.",
                                  idle,
                                  to_seconds(timeline.end),
                                  bubble_formula(timeline.pipeline.schedule),
                                  bubble(timeline.pipeline, timeline.mean_times()))}}};
}

}  // namespace traindyno
