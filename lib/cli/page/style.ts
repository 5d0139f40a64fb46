/** The page's style sheet. Colours are chosen for a contrast of 4.5 to 1 at least, light and dark. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #d5dae1; --text: #1c2430; --faint: #566273; --link: #0b5cad;
  --ran: #1a7f4b; --got: #0f6f9c; --hit: #7d8897; --bad: #c0322b; --soft: #e9edf2; --focus: #0b5cad;
  --p0: #2f6fd0; --p1: #b4631a; --p2: #7a4fc0; --p3: #187a6d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2028; --line: #353f4c; --text: #e6eaf0; --faint: #a3afbe; --link: #7db8f5;
    --ran: #4cc38a; --got: #5cb8e6; --hit: #8b97a7; --bad: #ff7b72; --soft: #262e39; --focus: #7db8f5;
    --p0: #5b93ea; --p1: #d98a3f; --p2: #a583e6; --p3: #3fae9e;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif }
main, header { max-width: 1180px; margin: 0 auto; padding: 0 20px }
header { padding-top: 28px }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px }
h2 { font-size: 18px; margin: 0 0 12px }
h3 { font-size: 15px; margin: 0 0 8px }
h3 small, small { font-weight: 400; color: var(--faint); font-size: 13px }
p { margin: 0 0 10px }
a { color: var(--link) }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 4px }
.faint, figcaption, caption { color: var(--faint); font-size: 13px }
.remark { border-left: 3px solid var(--p1); padding: 2px 0 2px 12px; margin: 0 0 12px; font-size: 14px }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 18px 0 }
.facts { display: flex; flex-wrap: wrap; gap: 10px 34px; margin: 16px 0 0; padding: 0 }
.facts div { min-width: 90px }
.facts dt { color: var(--faint); font-size: 13px }
.facts dd { margin: 0; font-size: 18px; font-weight: 600 }
.wide { overflow-x: auto }
figure { margin: 0 0 16px }
figcaption { margin: 0 0 8px }
svg text { fill: var(--text); font-size: 13px }
svg text.name { font-weight: 650; font-size: 14px }
svg text.faint { fill: var(--faint); font-size: 12px }
.graph { display: block; margin: 0 auto; max-width: 100%; min-width: 820px; height: auto }
.graph .stage rect { fill: var(--soft); stroke: var(--line); stroke-width: 1.2 }
.graph .stage:hover rect, .graph .stage.chosen rect { stroke: var(--focus); stroke-width: 2 }
.graph .stage rect.mark { stroke: none; fill: var(--hit) }
.graph .stage.ran rect.mark { fill: var(--ran) }
.graph .stage.got rect.mark { fill: var(--got) }
.graph .stage.bad rect.mark { fill: var(--bad) }
.graph .stage.none rect { stroke-dasharray: 4 3 }
.graph .edge path { fill: none; stroke: var(--faint); stroke-width: 1.3 }
.graph .edge text { font-size: 11.5px; fill: var(--faint); paint-order: stroke; stroke: var(--card); stroke-width: 4px; stroke-linejoin: round }
.graph .edge.near path { stroke: var(--focus); stroke-width: 2 }
.graph .edge.near text { fill: var(--text) }
#tip path { fill: var(--faint) }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; color: var(--faint); margin: 8px 0 0 }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px; background: var(--hit) }
.dot.ran { background: var(--ran) } .dot.got { background: var(--got) } .dot.bad { background: var(--bad) }
.dot.none { background: none; border: 1.5px dashed var(--faint) }
.panel { display: none; border-top: 1px solid var(--line); margin-top: 14px; padding-top: 14px; scroll-margin: 40vh }
.panel:target, .script .panel.open { display: block }
.script .panel:not(.open) { display: none }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 0; font-size: 14px }
dl dt { color: var(--faint) }
dl dd { margin: 0; overflow-wrap: anywhere }
.build { display: none }
.build.first, .build:target { display: block }
.script .build { display: none }
.script .build.open { display: block }
.bar rect { fill: var(--ran) } .bar.hit rect { fill: var(--hit) } .bar.bad rect { fill: var(--bad) }
.bar rect.hot { fill: transparent }
.bar:hover rect.hot, .bar.chosen rect.hot { fill: var(--soft) }
rect.ran { fill: var(--ran) } rect.got { fill: var(--got) } rect.hit { fill: var(--hit) } rect.bad { fill: var(--bad) }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
caption { text-align: left; padding: 6px 0 }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top }
thead th { color: var(--faint); font-weight: 500; font-size: 13px; white-space: nowrap }
tbody th { font-weight: 600 }
.number { text-align: right; white-space: nowrap }
.nowrap { white-space: nowrap }
.timeline td.lane { width: 46%; min-width: 150px; padding-top: 6px }
.timeline .lane svg { display: block; background: var(--soft); border-radius: 4px }
.timeline .why { color: var(--faint); overflow-wrap: anywhere }
.disk svg { display: block; overflow: visible }
.disk svg svg { overflow: hidden }
.disk .scale { border-radius: 4px; overflow: hidden; margin-bottom: 2px }
rect.free { fill: var(--soft) }
rect.p0 { fill: var(--p0) } rect.p1 { fill: var(--p1) } rect.p2 { fill: var(--p2) } rect.p3 { fill: var(--p3) }
rect.soft { opacity: .3 }
.filters { display: none; flex-wrap: wrap; gap: 10px; margin: 0 0 10px }
.script .filters { display: flex }
.filters label { display: flex; flex-direction: column; font-size: 13px; color: var(--faint) }
.filters label.grow { flex: 1 1 260px }
input, select { font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 6px 9px; min-height: 36px; width: 100% }
#list { display: none; max-height: min(560px, 70vh); overflow: auto; border: 1px solid var(--line); border-radius: 8px; position: relative }
.script #list { display: block }
#list table { table-layout: fixed; min-width: 836px; border-collapse: separate; border-spacing: 0 }
#list th, #list td { padding: 0 10px; height: 30px; line-height: 29px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
#list thead th { position: sticky; top: 0; background: var(--card); z-index: 1; border-bottom: 1px solid var(--line) }
#list thead button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; font-weight: 500 }
#list tbody th { font: 13px/29px ui-monospace, monospace; font-weight: 400 }
#list tr.gap td { padding: 0; border: 0; height: 0 }
#list .kind { width: 104px } #list .layer { width: 104px } #list .size { width: 92px } #list .mode { width: 64px }
#list .owner { width: 84px } #list .note { width: 168px }
.added::before { content: '+ '; color: var(--ran); font-weight: 700 }
.changed::before { content: '~ '; color: var(--p1); font-weight: 700 }
.removed::before { content: '− '; color: var(--bad); font-weight: 700 }
.kind.removed + th { text-decoration: line-through; text-decoration-color: var(--faint) }
footer { color: var(--faint); font-size: 13px; max-width: 1180px; margin: 0 auto; padding: 4px 20px 40px }
@media (max-width: 720px) {
  main, header, footer { padding-left: 12px; padding-right: 12px }
  .card { padding: 14px; border-radius: 8px }
  dl { grid-template-columns: 1fr } dl dt { margin-top: 6px }
  .timeline .why, .timeline thead th.why { display: none }
  .timeline td.lane { min-width: 70px; width: 40% }
  th, td { padding-right: 8px }
  .timeline .nowrap { white-space: normal }
  .facts dd { font-size: 16px }
}
@media print { .card { break-inside: avoid } }
`
