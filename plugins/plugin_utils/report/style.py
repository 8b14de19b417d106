# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The style sheet of the report. Its hash stands in the page's Content-Security-Policy."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0; --code: #eef1f4;
    --link: #0a5bc4;
  --bad: #b3181f; --bad-bg: #fdecec; --warn: #8a4b00; --warn-bg: #fff3df; --good: #16692f; --good-bg: #e6f5ea;
  --calm: #44505c; --calm-bg: #eaeef2; --plan: #5a32a3; --plan-bg: #f1eafc;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1318; --card: #171c23; --ink: #e6e9ed; --soft: #9aa5b1; --line: #2e3742; --code: #0c1015;
      --link: #76b3ff;
    --bad: #ff8f8f; --bad-bg: #3a1618; --warn: #ffc069; --warn-bg: #35260d; --good: #7fdc99; --good-bg: #10301c;
    --calm: #b4bec9; --calm-bg: #252d37; --plan: #c9adff; --plan-bg: #2a1f45;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h4 { font-size: .8rem; margin: 1rem 0 .4rem; color: var(--soft); text-transform: uppercase; letter-spacing: .05em; }
p { margin: .4rem 0; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code, pre, .mono { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; }
code, .mono { font-size: .875em; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.small { font-size: .87rem; }
.facts { display: flex; flex-wrap: wrap; gap: .15rem 1.5rem; color: var(--soft); margin: 0; padding: 0;
  list-style: none; }
.facts b { color: var(--ink); font-weight: 600; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.alert { border: 1px solid; border-left-width: 6px; border-radius: 6px; padding: .75rem 1rem; margin: 1.25rem 0 0; }
.alert p:first-child { margin-top: 0; font-weight: 650; }
.alert ul { margin: .35rem 0 0; padding-left: 1.2rem; }
.alert.bad { background: var(--bad-bg); border-color: var(--bad); }
.alert.good { background: var(--good-bg); border-color: var(--good); }
.alert.plan { background: var(--plan-bg); border-color: var(--plan); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0 0;
  padding: 0; list-style: none; }
.tiles li { padding: .8rem 1rem; border-top: 4px solid var(--calm); }
.tiles .number { display: block; font-size: 1.9rem; line-height: 1.1; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.tiles .bad { border-top-color: var(--bad); } .tiles .bad .number { color: var(--bad); }
.tiles .warn { border-top-color: var(--warn); } .tiles .warn .number { color: var(--warn); }
.tiles .good { border-top-color: var(--good); } .tiles .good .number { color: var(--good); }
.tiles .zero .number { color: var(--soft); } .tiles .zero { border-top-color: var(--line); }
.badge { display: inline-block; padding: .05rem .5rem; border-radius: 99px; font-size: .8rem; font-weight: 600;
  white-space: nowrap; background: var(--calm-bg); color: var(--calm); }
.badge.bad { background: var(--bad-bg); color: var(--bad); }
.badge.warn { background: var(--warn-bg); color: var(--warn); }
.badge.good { background: var(--good-bg); color: var(--good); }
.badge.plan { background: var(--plan-bg); color: var(--plan); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .65rem; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { font-size: .78rem; color: var(--soft); font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.n.zero { color: var(--soft); opacity: .55; }
td.n.bad { color: var(--bad); font-weight: 650; } td.n.warn { color: var(--warn); font-weight: 650; }
td.time { white-space: nowrap; font-variant-numeric: tabular-nums; }
details > summary { cursor: pointer; }
.host { margin: .75rem 0; content-visibility: auto; contain-intrinsic-size: auto 3.4rem; }
.host > summary { padding: .75rem 1rem; display: flex; flex-wrap: wrap; gap: .35rem .8rem; align-items: center;
  list-style: none; }
.host > summary::-webkit-details-marker { display: none; }
.host > summary::before { content: "\\25B8"; color: var(--soft); }
.host[open] > summary::before { content: "\\25BE"; }
.host[open] > summary { border-bottom: 1px solid var(--line); }
.host > summary .name { font-weight: 650; font-size: 1.05rem; overflow-wrap: anywhere; }
.host > .body { padding: .25rem 1rem 1.25rem; scroll-margin-top: 4.5rem; }
.item { border: 1px solid var(--line); border-left: 4px solid var(--calm); border-radius: 6px;
  padding: .6rem .8rem; margin: .5rem 0; }
.item.bad { border-left-color: var(--bad); } .item.warn { border-left-color: var(--warn); }
.item.good { border-left-color: var(--good); } .item.plan { border-left-color: var(--plan); }
.item .what { overflow-wrap: anywhere; margin: .3rem 0 .1rem; }
.item .about { color: var(--soft); font-size: .87rem; overflow-wrap: anywhere; }
.head { display: flex; flex-wrap: wrap; gap: .3rem .5rem; align-items: center; }
.head .right { margin-left: auto; }
.more { margin-top: .35rem; font-size: .87rem; }
.more > summary { color: var(--soft); width: fit-content; }
.more .item { font-size: .95rem; }
.escape { white-space: nowrap; }
dl.values { display: grid; grid-template-columns: fit-content(14rem) 1fr; gap: .15rem .9rem; margin: .4rem 0 0;
  font-size: .87rem; }
dl.values dt { color: var(--soft); overflow-wrap: anywhere; } dl.values dd { margin: 0; overflow-wrap: anywhere;
  min-width: 0; }
pre.command { background: var(--code); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .7rem;
  margin: .4rem 0 0;
  font-size: .84rem; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
.escape { color: var(--bad); background: var(--bad-bg); border-radius: 3px; padding: 0 .15em;
  font-family: ui-monospace, monospace;
  font-size: .9em; }
.cut { color: var(--soft); font-style: italic; }
.nothing { color: var(--soft); font-style: italic; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .87rem; }
footer dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .5rem 0; }
footer dd { margin: 0; } footer dt { font-weight: 600; color: var(--ink); }
@media (max-width: 40rem) {
  main { padding: 1rem .7rem 3rem; }
  .host > .body { padding: .25rem .7rem 1rem; }
  .head .right { margin-left: 0; }
  dl.values, footer dl { grid-template-columns: 1fr; gap: 0; } dl.values dd, footer dd { margin-bottom: .4rem; }
  table.index td, table.index th { padding: .4rem .45rem; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --code: #f3f3f3; --link: #000;
    --bad: #8c0000; --bad-bg: #fff; --warn: #6b3a00; --warn-bg: #fff; --good: #0b4d20; --good-bg: #fff; --calm: #333;
    --calm-bg: #fff; --plan: #3d1f80; --plan-bg: #fff; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .host { content-visibility: visible; }
  .badge { border: 1px solid; }
  .item, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding: .15rem .25rem; overflow-wrap: break-word; }
  th { white-space: normal; font-size: 6.5pt; }
  td .small { font-size: 7.5pt; }
  .tiles { grid-template-columns: repeat(5, 1fr); }
  .tiles li { padding: .4rem .5rem; }
  h2, h3, h4 { break-after: avoid; }
}
"""
