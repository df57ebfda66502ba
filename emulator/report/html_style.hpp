// SPDX-License-Identifier: Apache-2.0
// The style sheet of report.html: screen, phone, print, light and dark.
#pragma once

#include <string_view>

namespace traindyno {

inline constexpr std::string_view report_style = R"css(
:root { --ink: #1d2329; --soft: #5b6570; --axis: #7d858d; --rule: #dfe3e7; --paper: #ffffff;
  --tint: #0072b2; --alarm: #b34700; --stamp: #fff3e6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --soft: #9ba5ae; --axis: #838c95;
  --rule: #343a41; --paper: #15181b; --tint: #56b4e9; --alarm: #f0955a; --stamp: #33241a; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
.brand { margin: 0 0 .75rem; color: var(--soft); font-size: .8rem; letter-spacing: .06em; }
h1 { margin: 0 0 .75rem; max-width: 50rem; font-size: 1.75rem; line-height: 1.3; font-weight: 600;
  letter-spacing: -.01em; text-wrap: pretty; }
h2 { margin: 0 0 1rem; font-size: 1.2rem; font-weight: 600; }
h3 { margin: 0 0 .25rem; font-size: .95rem; font-weight: 600; }
.subtitle { margin: 0 0 1rem; color: var(--soft); }
.stamps { margin: 0 0 1rem; display: flex; flex-wrap: wrap; gap: .4rem; }
.stamp { padding: .1rem .55rem; border: 1px solid var(--alarm); border-radius: 3px;
  background: var(--stamp); color: var(--alarm); font-size: .8rem; }
.figures-row { display: flex; flex-wrap: wrap; gap: 1rem 3rem; margin: 1.75rem 0; }
.figures-row dt { color: var(--soft); font-size: .8rem; }
.figures-row dd { margin: 0; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figures-row small { display: block; color: var(--soft); font-size: .8rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: .75rem 0; font-size: .875rem;
  border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
a { color: var(--tint); text-decoration: none; }
a:hover { text-decoration: underline; }
section { margin-top: 3rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
  gap: 2rem; margin-bottom: 1.5rem; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
figcaption, .text { color: var(--soft); font-size: .875rem; max-width: 46rem; }
/* The shadow at the right edge tells that there is more to scroll to. */
.scroll { overflow-x: auto; margin: 0 0 1.5rem;
  background: linear-gradient(to right, transparent, var(--paper) 70%) 100% 0 / 3rem 100% no-repeat local,
    linear-gradient(to left, var(--rule), transparent) 100% 0 / .75rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { padding-bottom: .4rem; text-align: left; color: var(--soft); white-space: nowrap; }
th, td { padding: .35rem .85rem .35rem 0; text-align: right; vertical-align: baseline;
  white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; line-height: 1.25; border-bottom-color: var(--axis); }
th.l, td.l { text-align: left; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper); }
.sum tbody tr:last-child td { font-weight: 600; border-top: 1px solid var(--axis); border-bottom: 0; }
td { position: relative; }
.chip { display: inline-block; width: .7em; height: .7em; margin-right: .5em; border-radius: 2px; }
.bar { display: block; height: 3px; margin: 1px 0 0 auto; border-radius: 1px; background: var(--tint); }
.alarm { color: var(--alarm); }
pre { overflow-x: auto; margin: 0 0 1.5rem; padding: .75rem 1rem; border: 1px solid var(--rule);
  border-radius: 4px; font: .8rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media (max-width: 40rem) {
  main { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.3rem; }
  .figures-row { gap: 1rem 2rem; }
  .figures-row dd { font-size: 1.3rem; }
  section { margin-top: 2.25rem; }
}
@media print {
  @page { margin: 16mm 14mm; }
  :root { --ink: #000; --soft: #444; --axis: #777; --rule: #ddd; --paper: #fff; --tint: #0072b2;
    --alarm: #a33d00; --stamp: #fff; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  h1 { font-size: 16pt; }
  h2 { break-after: avoid; }
  section { margin-top: 1.5rem; }
  figure, tr, .stamps, pre { break-inside: avoid; }
  .figures { grid-template-columns: 1fr 1fr; gap: 1rem; }
  .scroll { overflow: visible; background: none; }
  table { font-size: 7.5pt; }
  th, td { padding-right: .5rem; }
  td.l { white-space: normal; }
  caption { white-space: normal; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  th:first-child, td:first-child { position: static; }
  .bar, .chip, .stamp { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
)css";

}  // namespace traindyno
