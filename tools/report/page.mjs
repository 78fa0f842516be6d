// The report as one HTML file: style, uPlot, data and script are inside, nothing is asked of a network.
import { readFileSync } from 'node:fs';
import { NOT_MEASURED, inWords } from './charts.mjs';
import { Figures, count, held, parameterValues, standing, targetText } from './figures.mjs';
import { date, duration, escapeHtml as text, plain, range, ratio, unitText, withUnit } from './format.mjs';
import { SCHEMES, STYLES } from './palette.mjs';
import { legendMark } from './svg.mjs';

const here = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const CLIENT_MODULES = ['format.mjs', 'palette.mjs', 'place.mjs', 'scene.mjs', 'client.mjs'];

const VERDICTS = { held: '✓ held', missed: '✗ not held', ahead: '▲ ahead', behind: '▼ behind', even: '= even' };
const SHOWN_VALUES = 6;
const MAIN_PARAMETERS = [['size', 'frame sizes, B'], ['flows', 'flows'], ['routes', 'routes'], ['workers', 'workers'], ['burst', 'burst'], ['slice_s', 'slices, s'], ['pod_mtu', 'pod MTU, B']];

// The page's modules as one script: they import only one another, in this order.
function clientScript() {
  const joined = CLIENT_MODULES.map((name) => here(name).replace(/^import .*$/gm, '').replace(/^export /gm, '')).join('\n');
  return `(() => {\n'use strict';\n${joined}\n})();`;
}

// Inside of <script>, `</script>` and `<!--` must not be readable as such; in JSON a < can be written otherwise.
const inScript = (value) => JSON.stringify(value).replace(/</g, '\\u003c').replace(/\u2028/g, '\\u2028').replace(/\u2029/g, '\\u2029');

function variables(scheme) {
  const own = Object.entries(SCHEMES[scheme]).map(([name, value]) => `--${name}: ${value};`);
  return [...own, ...Object.entries(STYLES).map(([name, style]) => `--style-${name}: ${style[scheme]};`)].join(' ');
}

// The variable behind a colour of the light scheme.
function variableOf(colour) {
  const own = Object.keys(SCHEMES.light).find((name) => SCHEMES.light[name] === colour);
  return `var(--${own ?? `style-${Object.keys(STYLES).find((name) => STYLES[name].light === colour)}`})`;
}

function row(cells, tag = 'td') {
  return `<tr>${cells.map((cell, index) => (tag === 'td' && index === 0 ? `<th scope="row">${text(cell)}</th>` : `<${tag}${tag === 'th' ? ' scope="col"' : ''}>${text(cell)}</${tag}>`)).join('')}</tr>`;
}

function dataTable(chart) {
  const tables = chart.panels.map((panel) => `<table><caption>${text(panel.title)}, ${text(unitText(panel.unit))}</caption>` +
    `<thead>${row(panel.columns, 'th')}</thead><tbody>${panel.cells.map((cells) => row(cells)).join('')}</tbody></table>`).join('');
  return `<details><summary>Data of this chart</summary><div class="scroll" tabindex="0" role="region" aria-label="Data: ${text(chart.title)}">${tables}</div></details>`;
}

function legendItem(entry) {
  const shapes = legendMark(entry, 0, 9, SCHEMES.light).map((shape) => {
    const paint = { fill: shape.fill ? (shape.hatch ? 'url(#hatch)' : variableOf(shape.fill)) : 'none', stroke: shape.stroke && variableOf(shape.stroke),
      'stroke-width': shape.width, 'stroke-dasharray': shape.dash?.join(' ') };
    return `<path d="${shape.d}" style="${Object.entries(paint).filter(([, value]) => value).map(([name, value]) => `${name}:${value}`).join(';')}"/>`;
  });
  return `<li><svg width="24" height="18" aria-hidden="true">${shapes.join('')}</svg>${text(entry.label)}</li>`;
}

const measure = (chart) => [chart.command, chart.alsoCommand].filter(Boolean).map((name) => `<code>tools/bench ${name}</code>`).join(' and ');

function panelHtml(chart, chartIndex, panel, panelIndex) {
  const title = chart.panels.length > 1 || panel.kind === 'rows' ? `<h3>${text(panel.title)}</h3>` : '';
  if (panel.empty) return `${title}<p class="absent">${NOT_MEASURED[0].toUpperCase()}${NOT_MEASURED.slice(1)}. ${measure(chart)} would.</p>`;
  const unit = (place) => `<p class="unit ${place}">${text(unitText(panel.unit))}</p>`;
  const axis = panel.kind === 'lines' ? `<p class="unit">${text(panel.x.label)}</p>` : unit('');
  const missing = panel.missing.length ? `<p class="absent">${NOT_MEASURED[0].toUpperCase()}${NOT_MEASURED.slice(1)}: ${text(panel.missing.join('; '))}.</p>` : '';
  return `${title}${panel.kind === 'lines' ? unit('above') : ''}<div class="plot" role="img" aria-label="${text(`${chart.title}. ${panel.title}`)}" aria-describedby="words-${chart.id}" ` +
    `data-chart="${chartIndex}" data-panel="${panelIndex}" data-missing="${NOT_MEASURED}"></div>${axis}${missing}`;
}

function chartHtml(chart, index) {
  const drawn = chart.panels.some((panel) => !panel.empty);
  return `<figure class="card" id="${chart.id}" aria-labelledby="title-${chart.id}"><h2 id="title-${chart.id}">${text(chart.title)}</h2>` +
    `<figcaption>${text(chart.description)}</figcaption><p id="words-${chart.id}" hidden>${text(inWords(chart))}</p>` +
    (drawn ? `<ul class="legend">${chart.legend.map(legendItem).join('')}</ul>` : '') +
    chart.panels.map((panel, panelIndex) => panelHtml(chart, index, panel, panelIndex)).join('') + `${dataTable(chart)}</figure>`;
}

const verdict = (name) => (name ? `<span class="verdict ${name}">${VERDICTS[name]}</span>` : '');

function parametersOf(figure) {
  const own = Object.entries(figure.parameters ?? {}).map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : plain(value)}`);
  return [figure.rounds !== undefined && `${plain(figure.rounds)} rounds`, ...own].filter(Boolean).join(', ');
}

function figureRow(figure) {
  const isHeld = held(figure), target = isHeld === null ? '' : isHeld ? 'held' : 'missed', stands = standing(figure) ?? '';
  const { peer } = figure;
  const cell = (name, html, kind = '') => `<td data-name="${name}"${kind}>${html && `<span>${html}</span>`}</td>`;
  const limits = figure.limits ? `<span class="limits">${text(figure.limits)}</span>` : target === 'missed' ? '<span class="limits">The run does not say what limits it.</span>' : '';
  return `<tr data-target="${target}" data-peer="${stands}"><th scope="row">${text(figure.title)}<div class="id">${text(figure.id)}<br>${text(parametersOf(figure))}</div></th>` +
    cell('figure', `<span class="number">${text(withUnit(figure.median, figure.unit))}</span><br><span class="number muted">${range(figure)}</span>`) +
    cell('peer', peer ? `${text(peer.name)}<br><span class="number">${text(withUnit(peer.median, figure.unit))}</span><br><span class="number muted">${range(peer)}</span>` : '') +
    cell('ratio', peer?.ratio ? `<span class="number">${ratio(peer.ratio.median)}</span> ${verdict(stands)}<br><span class="number muted">${range(peer.ratio, ratio)}</span>` : '') +
    cell('target', target && `${text(targetText(figure))}<br>${verdict(target)}${limits}`) + '</tr>';
}

function figuresTable(figures) {
  const counts = count(figures.list);
  const options = [['all', 'all figures', figures.list.length], ['held', 'target held', counts.held], ['missed', 'target not held', counts.missed],
    ['ahead', 'ahead of the peer', counts.ahead], ['behind', 'behind the peer', counts.behind]];
  const tables = figures.rooms().map(([title, list]) => `<table><caption>${text(title)}</caption><thead><tr>` +
    ['figure', 'median, 5–95 %', 'peer in the same run', 'ratio (≥ 1: Fairlead ahead)', 'target'].map((name) => `<th scope="col">${name}</th>`).join('') +
    `</tr></thead><tbody>${list.map(figureRow).join('')}</tbody></table>`).join('');
  return `<section class="card" id="figures" data-show="all"><header><h2>Every figure of this run</h2><label id="filter" hidden>show <select>` +
    options.map(([value, name, amount]) => `<option value="${value}">${name} (${amount})</option>`).join('') + `</select></label></header>` +
    (figures.list.length ? tables : `<p class="absent">No figure was ${NOT_MEASURED.replace('not ', '')}.</p>`) + '</section>';
}

function tiles(counts) {
  const all = [['held', counts.held, 'targets held'], ['missed', counts.missed, 'targets not held'], ['ahead', counts.ahead, 'ahead of the peer'],
    ['even', counts.even, 'even: 1 lies in the band'], ['behind', counts.behind, 'behind the peer']];
  return `<ul class="tiles">${all.map(([name, amount, label]) => `<li class="${name}"><b>${amount}</b>${label}</li>`).join('')}</ul>`;
}

const list = (rows) => `<dl>${rows.filter(([, value]) => value !== undefined && value !== null && value !== '').map(([name, value]) => `<dt>${text(name)}</dt><dd>${text(value)}</dd>`).join('')}</dl>`;

function valuesText(values) {
  const shown = values.slice(0, SHOWN_VALUES).map((value) => (value !== null && typeof value === 'object' ? JSON.stringify(value) : plain(value))).join(' · ');
  return values.length > SHOWN_VALUES ? `${shown} and ${values.length - SHOWN_VALUES} more` : shown;
}

function about(result, figures) {
  const { machine } = result, yes = (value) => (value === undefined || value === null ? value : value ? 'yes' : 'no');
  const rounds = [...new Set(figures.list.map((figure) => figure.rounds).filter((value) => value !== undefined))].sort((a, b) => a - b);
  const withSuffix = (value, suffix) => (value === undefined || value === null ? value : `${plain(value)} ${suffix}`);
  const head = [['processor', machine.cpu], ['cores', machine.cores], ['TSC', withSuffix(machine.tsc_ghz, 'GHz')], ['memory', withSuffix(machine.memory_gib, 'GiB')],
    ['kernel', machine.kernel], ['huge pages', yes(machine.hugepages)], ['mitigations', machine.mitigations]];
  const versions = [['Fairlead', machine.fairlead], ['DPDK', machine.dpdk], ['compiler', machine.compiler]];
  const parameters = parameterValues(figures.list), known = new Map(parameters);
  const run = [['started', date(result.started)], ['took', duration(result.duration_s)], ['length', result.quick ? 'quick: fewer rounds, shorter slices, wider bands' : 'full'], ['rounds', valuesText(rounds)],
    ...MAIN_PARAMETERS.filter(([name]) => known.has(name)).map(([name, title]) => [title, valuesText(known.get(name))])];
  const others = parameters.filter(([name]) => !MAIN_PARAMETERS.some(([main]) => main === name));
  const notes = result.notes.length ? `<h3>Said by the run</h3><ul>${result.notes.map((note) => `<li>${text(note)}</li>`).join('')}</ul>` : '';
  return `<div class="about"><section class="card"><h2>Machine and versions</h2>${list([...head, ...versions])}</section>` +
    `<section class="card"><h2>Run and parameters</h2>${list(run)}` +
    (others.length ? `<details><summary>Other parameters</summary>${list(others.map(([name, values]) => [name, valuesText(values)]))}</details>` : '') + `</section><section class="card"><h2>Method</h2>` +
    '<p>Fairlead and each peer get a slice of every round, in an order that changes from round to round, on the same machine in the same run, so that a machine that drifts drifts for all.</p>' +
    '<p>A figure is the median of its rounds with the 5–95 % band; a ratio is the median of per-round ratios, at least 1 where Fairlead is ahead, and never a ratio of medians.</p>' +
    '<p>On the replay port every frame that comes out is counted and samples are read back in the timed run; between pods, frames on the wire have MTU size for everyone.</p>' +
    `${notes}</section></div>`;
}

export function pageOf(result, charts) {
  const figures = new Figures(result), counts = count(figures.list);
  const fairlead = result.machine.fairlead ?? 'of unknown version';
  const csp = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${csp}"><link rel="icon" href="data:,"><meta name="color-scheme" content="light dark">
<title>Fairlead benchmark, ${text(date(result.started))}</title>
<style>:root { ${variables('light')} --focus: var(--style-routed); } @media (prefers-color-scheme: dark) { :root { ${variables('dark')} } }
${here('node_modules/uplot/dist/uPlot.min.css')}
${here('page.css')}</style></head>
<body><svg width="0" height="0" aria-hidden="true" style="position:absolute"><defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" style="stroke:var(--style-gro);stroke-width:4"/></pattern></defs></svg>
<main><h1>Fairlead benchmark</h1><p class="lead">Fairlead ${text(fairlead)} on ${text([result.machine.cpu ?? 'an unknown processor', result.machine.cores && `${plain(result.machine.cores)} cores`].filter(Boolean).join(', '))} · ${text(date(result.started))}${result.quick ? ' · quick run' : ''}</p>
${tiles(counts)}
${about(result, figures)}
<noscript><p class="absent">The charts need JavaScript; their data is in the tables beneath them.</p></noscript>
<div class="charts">${charts.map(chartHtml).join('\n')}</div>
${figuresTable(figures)}
<footer>Absolute figures belong to this machine; ratios to a peer in the same run travel better. Charts drawn with uPlot (MIT).</footer></main>
<script type="application/json" id="charts">${inScript(charts)}</script>
<script>${here('node_modules/uplot/dist/uPlot.iife.min.js')}</script>
<script>${clientScript()}</script></body></html>
`;
}
