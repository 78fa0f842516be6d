// The charts as plain data, which the page and the SVG files draw. What a chart is expected to show and the run did not measure
// stays in it as a row or a name of its own.
//
// chart: {id, title, description, command, legend: [{style, label, mark}], panels}
// panel: {kind: "rows" | "lines", title, unit, ..., missing: [names], columns, cells (the data table)}
//   rows:  rows: [{heading} | {label, missing} | {label, text, tip, bars: [{style, from, to}], whisker, dots: [{style, mark, value, p05, p95}], target}]
//   lines: x: {log} or {names}, series: [{label, style, joined, points: [{x, median, p05, p95, target, tip}]}]
import { Figures, bandText, targetText } from './figures.mjs';
import { compact, number, range, ratio as ratioText, withUnit } from './format.mjs';

const NOT_MEASURED = 'not measured in this run';

const WAYS = [
  ['Across nodes, overlay (VXLAN)', [['fairlead_vxlan', 'Fairlead', 'overlay'], ['kernel_vxlan', 'kernel', 'kernel'], ['kernel_vxlan_gro', 'kernel, GRO at the receiver', 'gro']]],
  ['Across nodes, routed', [['fairlead_routed', 'Fairlead', 'routed'], ['kernel_routed', 'kernel', 'kernel'], ['kernel_routed_gro', 'kernel, GRO at the receiver', 'gro']]],
  ['On one node', [['fairlead_local', 'Fairlead', 'local'], ['kernel_local', 'kernel, veth to veth', 'kernel']]],
];
const OWNERS = [
  { style: 'overlay', label: 'Fairlead, overlay' }, { style: 'routed', label: 'Fairlead, routed' }, { style: 'local', label: 'Fairlead, one node' },
  { style: 'kernel', label: 'kernel' },
];
const GRO = { style: 'gro', label: 'kernel, GRO at its receiver' };
const PEERS = [['testpmd_io', 'testpmd io', 'io'], ['testpmd_macswap', 'testpmd macswap', 'macswap'], ['testpmd_csum', 'testpmd csum', 'csum'], ['l3fwd', 'l3fwd (LPM)', 'l3fwd']];
// [id, name, the path without the tunnel].
const PATHS = [['routed4', 'routed, IPv4'], ['routed6', 'routed, IPv6'], ['encap4', 'VXLAN encapsulation, IPv4', 'routed4'],
  ['encap6', 'VXLAN encapsulation, IPv6 in IPv4', 'routed6'], ['decap4', 'VXLAN decapsulation, IPv4', 'routed4'], ['geneve4', 'Geneve encapsulation, IPv4', 'routed4']];

function tipOf(label, figure) {
  const lines = [label, `${withUnit(figure.median, figure.unit)} (5–95 %: ${range(figure)})`];
  if (figure.peer) lines.push(`${figure.peer.name}: ${bandText(figure.peer)}`);
  if (figure.peer?.ratio) lines.push(`ratio ${bandText(figure.peer.ratio, ratioText)}`);
  if (figure.target) lines.push(`target: ${targetText(figure)}`);
  return lines.join('\n');
}

// One bar from zero with its band.
function barRow(label, style, figure, heading = '') {
  const whole = heading ? `${heading}: ${label}` : label;
  if (!figure) return { label, missing: true, cells: [whole, NOT_MEASURED] };
  const ratio = figure.peer?.ratio;
  return {
    label, bars: [{ style, from: 0, to: figure.median }], whisker: figure,
    target: figure.target && figure.target.of !== 'peer' ? figure.target.at_most ?? figure.target.at_least : undefined,
    text: withUnit(figure.median, figure.unit) + (ratio ? ` · ratio ${ratioText(ratio.median)}` : ''), tip: tipOf(label, figure),
    cells: [whole, number(figure.median), range(figure), figure.peer ? `${figure.peer.name} ${number(figure.peer.median)}` : '', ratio ? bandText(ratio, ratioText) : '', targetText(figure)],
  };
}

function rowsPanel(title, unit, rows, columns = ['', 'median', '5–95 %', 'peer', 'ratio', 'target']) {
  const cells = rows.filter((row) => row.cells).map((row) => [...row.cells, ...Array(columns.length - row.cells.length).fill('')]);
  const missing = rows.filter((row) => !row.heading).every((row) => row.missing);
  return { kind: 'rows', title, unit, rows, columns, cells, empty: missing, missing: [] };
}

// A bar for each system, under the headings of the ways a packet goes.
function systemsPanel(figures, title, unit, load, metric) {
  const rows = WAYS.flatMap(([heading, systems]) => [{ heading },
    ...systems.map(([system, label, style]) => barRow(label, style, figures.get(`tcp.${load}.${system}.${metric}`), heading))]);
  return rowsPanel(title, unit, rows);
}

function dotsRow(label, style, byPercentile, heading) {
  const entries = Object.entries(byPercentile).filter(([, figure]) => figure);
  if (entries.length === 0) return { label, missing: true, cells: [`${heading}: ${label}`, NOT_MEASURED] };
  const marks = { p50: 'circle', p99: 'diamond' };
  return {
    label, text: Object.entries(byPercentile).map(([name, figure]) => `${name} ${figure ? number(figure.median) : 'not measured'}`).join(' · ') + ' µs',
    dots: entries.map(([name, figure]) => ({ style, mark: marks[name], value: figure.median, p05: figure.p05, p95: figure.p95 })),
    tip: entries.map(([name, figure]) => tipOf(`${label}, ${name}`, figure)).join('\n'),
    target: entries.map(([, figure]) => figure.target).find((target) => target && target.of !== 'peer')?.at_most,
    cells: [`${heading}: ${label}`, ...Object.values(byPercentile).flatMap((figure) => (figure ? [number(figure.median), range(figure)] : [NOT_MEASURED, '']))],
  };
}

const LATENCY_COLUMNS = ['', 'p50, µs', '5–95 %', 'p99, µs', '5–95 %'];

function latencyPanel(figures, title, load) {
  const rows = WAYS.flatMap(([heading, systems]) => [{ heading }, ...systems.map(([system, label, style]) =>
    dotsRow(label, style, { p50: figures.get(`tcp.${load}.${system}.p50_us`), p99: figures.get(`tcp.${load}.${system}.p99_us`) }, heading))]);
  return rowsPanel(title, 'us', rows, LATENCY_COLUMNS);
}

function wakePanel(figures) {
  const asFigure = (figure) => figure?.peer && { unit: figure.unit, ...figure.peer, peer: undefined };
  const rows = [['Across nodes, routed', 'wake', 'routed'], ['On one node', 'wake_local', 'local']].flatMap(([heading, kind, style]) => {
    const p50 = figures.get(`idle.${kind}.p50_us`), p99 = figures.get(`idle.${kind}.p99_us`);
    return [{ heading }, dotsRow('Fairlead', style, { p50, p99 }, heading), dotsRow('kernel', 'kernel', { p50: asFigure(p50), p99: asFigure(p99) }, heading)];
  });
  return rowsPanel('One packet after 10 ms of silence, one way', 'us', rows, LATENCY_COLUMNS);
}

function cyclesPanel(figures) {
  const floor = figures.get('pps.floor.cycles');
  const label = 'floor: receive and send only';
  const rows = [floor
    ? { ...barRow(label, 'floor', floor), text: `${number(floor.median)} whole`, cells: [label, number(floor.median), '', '', number(floor.median), range(floor), targetText(floor)] }
    : { label, missing: true, cells: [label, NOT_MEASURED] }];
  for (const [path, name, inner] of PATHS) {
    const whole = figures.get(`pps.${path}.cycles`), above = figures.get(`pps.${path}.above_floor`);
    if (!whole || !above || !floor) {
      rows.push({ label: name, missing: true, cells: [name, NOT_MEASURED] });
      continue;
    }
    // A tunnel's step is what its path costs beyond the routed one of the same family; cheaper than that, it has no bar.
    const shift = floor.median, end = shift + above.median, routed = inner ? figures.get(`pps.${inner}.above_floor`)?.median : above.median;
    const split = shift + Math.min(routed ?? 0, above.median), tunnel = inner && routed !== undefined ? number(above.median - routed) : '';
    rows.push({
      label: name, bars: [{ style: 'floor', from: 0, to: shift }, { style: 'routed', from: shift, to: split }, { style: 'overlay', from: split, to: end }].filter(({ from, to }) => to > from),
      whisker: { p05: shift + above.p05, p95: shift + above.p95 }, target: above.target && shift + above.target.at_most,
      text: `+${number(above.median)} above the floor`, tip: `${tipOf(`${name}, above the floor`, above)}\n${tipOf('whole', whole)}`,
      cells: [name, number(floor.median), bandText(above), tunnel, number(whole.median), range(whole), targetText(above)],
    });
  }
  for (const [id, name, style] of PEERS) {
    const peer = figures.get(`pps.peer.${id}.cycles`);
    const row = barRow(name, style, peer);
    rows.push(peer ? { ...row, text: `${number(peer.median)} whole`, cells: [name, '', '', '', number(peer.median), range(peer), ''] } : row);
  }
  return rowsPanel('64 B, 16 k flows, one worker', 'cycles/packet', rows, ['', 'floor', 'above the floor', 'of it the tunnel', 'whole', '5–95 % of the whole', 'target above the floor']);
}

function newFlowsPanel(figures) {
  const rows = [barRow('one route', 'overlay', figures.get('pps.new4.cycles'))];
  const sweep = figures.matching(/^pps\.new4\.routes_(\d+)\.cycles$/).sort((a, b) => a[1][0] - b[1][0]);
  for (const [figure, [routes]] of sweep) rows.push(barRow(`${compact(Number(routes))} routes`, 'overlay', figure));
  return rowsPanel('Every packet begins a UDP flow, VXLAN, whole cost', 'cycles/packet', rows);
}

function linesPanel(title, unit, x, series, missing) {
  const cells = series.flatMap((line) => line.points.map((point) => [line.label, point.name, number(point.median), range(point), point.target === undefined ? '' : `at most ${number(point.target)}`]));
  const measured = series.filter((line) => line.points.length > 0);
  return { kind: 'lines', title, unit, x, series: measured, missing, empty: measured.length === 0,
    columns: ['', x.label, 'median', '5–95 %', 'target'], cells: [...cells, ...missing.map((name) => [name, '', NOT_MEASURED, '', ''])] };
}

function point(x, name, figure, label) {
  return { x, name, median: figure.median, p05: figure.p05, p95: figure.p95, target: figure.target?.at_most, tip: tipOf(`${label}, ${name}`, figure) };
}

// Peers are counted in cycles of the TSC; packets per second follow from its frequency.
function asMpps(figure, tscGhz) {
  if (!figure || !tscGhz) return undefined;
  const of = (cycles) => tscGhz * 1000 / cycles;
  return { unit: 'Mpps', median: of(figure.median), p05: of(figure.p95), p95: of(figure.p05) };
}

function sizesPanel(figures, machine) {
  const floor = figures.get('pps.floor.cycles'), floorMpps = figures.get('pps.floor.mpps');
  const tscGhz = typeof machine.tsc_ghz === 'number' ? machine.tsc_ghz : floor && floorMpps && floor.median * floorMpps.median / 1000;
  const sizes = ['64', '512', '1518', 'imix'];
  for (const [, [, size]] of figures.matching(/^pps\.(routed4|encap4)\.size_(\d+|imix)\.mpps$/)) if (!sizes.includes(size)) sizes.push(size);
  sizes.sort((a, b) => (a === 'imix') - (b === 'imix') || a - b);
  const nameOf = (size) => (size === 'imix' ? 'IMIX' : `${size} B`);
  const missing = [];
  const ours = [['routed4', 'Fairlead, routed', 'routed'], ['encap4', 'Fairlead, overlay', 'overlay']].map(([path, label, style]) => {
    const points = [];
    for (const [index, size] of sizes.entries()) {
      const figure = figures.get(`pps.${path}.size_${size}.mpps`) ?? (size === '64' ? figures.get(`pps.${path}.mpps`) : undefined);
      if (figure) points.push(point(index, nameOf(size), figure, label));
      else missing.push(`${label}, ${nameOf(size)}`);
    }
    return { label, style, joined: true, points };
  });
  const peers = PEERS.map(([id, label, style]) => {
    const figure = figures.get(`pps.peer.${id}.mpps`) ?? asMpps(figures.get(`pps.peer.${id}.cycles`), tscGhz);
    if (!figure) missing.push(label);
    return { label, style, joined: false, points: figure ? [point(0, nameOf('64'), figure, label)] : [] };
  });
  const x = { label: 'frame', names: sizes.map(nameOf), separate: sizes.indexOf('imix') };
  return linesPanel('16 k flows, one worker', 'Mpps', x, [...ours, ...peers], missing);
}

// The sweep over flows; what the main run measured at 16 k flows is its first point.
function flowsPanel(figures) {
  const series = [], missing = [];
  for (const [metric, kind, style] of [['above_floor', 'above the floor', 'routed'], ['cycles', 'whole cost', 'kernel']]) {
    const label = `routed, IPv4, ${kind}`;
    const points = figures.matching(new RegExp(`^pps\\.flow4\\.(\\d+)\\.${metric}$`)).map(([figure, [flows]]) => point(Number(flows), `${compact(Number(flows))} flows`, figure, label));
    const first = figures.get(`pps.routed4.${metric}`), flows = first?.parameters?.flows;
    if (typeof flows === 'number' && flows > 0 && !points.some((other) => other.x === flows)) points.push(point(flows, `${compact(flows)} flows`, first, label));
    series.push({ label, style, joined: true, points: points.filter(({ x }) => x > 0).sort((a, b) => a.x - b.x) });
  }
  for (const [text, low, high] of [['16 k flows', 1e4, 3e4], ['1 M flows', 9e5, 2e6], ['10 M flows', 9e6, 2e7]]) {
    if (!series[0].points.some(({ x }) => x >= low && x <= high)) missing.push(text);
  }
  return linesPanel('routed, IPv4, 64 B, one worker', 'cycles/packet', { label: 'flows', log: true }, series, missing);
}

function idlePanel(figures) {
  const expected = new Map([0, 1000, 10000, 100000].map((pps) => [pps, undefined]));
  for (const [figure, [pps]] of figures.matching(/^idle\.(\d+)\.cpu_percent$/)) expected.set(Number(pps), figure);
  const rows = [...expected].sort((a, b) => a[0] - b[0]).map(([pps, figure]) => barRow(`${compact(pps)} packets/s offered`, 'routed', figure));
  return rowsPanel('A dataplane with its ports, adaptive polling', '% of a core', rows);
}

export function chartsOf(result) {
  const figures = new Figures(result);
  const targetMark = { mark: 'target', label: 'target' }, band = { mark: 'whisker', label: '5–95 % of the rounds' };
  const latencyMarks = [{ mark: 'p50', label: 'p50' }, { mark: 'p99', label: 'p99' }];
  const charts = [
    { id: 'throughput', title: 'Throughput by packet size', command: 'pps',
      description: 'Packets per second of one core on the replay port: overlay, routed, and programs of DPDK on the same port. testpmd looks nothing up; l3fwd is the router to compare with.',
      panels: [sizesPanel(figures, result.machine)] },
    { id: 'cycles', title: 'Cycles per packet by step', command: 'pps',
      description: 'What receiving and sending alone costs on this port; on it what forwarding adds, and on that what a tunnel costs beyond the routed path of the same family. Shorter is better.',
      legend: [{ style: 'floor', label: 'the port’s floor' }, { style: 'routed', label: 'parse, look up, route, rewrite' }, { style: 'overlay', label: 'tunnel' }, band, targetMark],
      panels: [cyclesPanel(figures), newFlowsPanel(figures)] },
    { id: 'flows', title: 'Cost by number of flows', command: 'pps',
      description: 'Cycles per packet when packets are spread at random over so many known flows. Lower is better; what grows is waiting for memory.',
      panels: [flowsPanel(figures)] },
    { id: 'tcp', title: 'TCP throughput: overlay, routed, and the kernel', command: 'tcp',
      description: 'One TCP stream between pods, in turns with the kernel’s own path on the same cores, frames of MTU size on the wire for everyone. Goodput: longer is better; CPU: shorter is better.',
      legend: [...OWNERS, GRO, band],
      panels: [systemsPanel(figures, 'Goodput', 'Gb/s', 'stream', 'gbps'), systemsPanel(figures, 'CPU of the whole machine', '% of a core per Gb/s', 'stream', 'cpu_per_gbps')] },
    { id: 'latency', title: 'Latency', command: 'tcp', alsoCommand: 'idle',
      description: 'Median and 99th percentile of all samples of a slice; the line through a mark is its 5–95 % band over the rounds. Further left is better.',
      legend: [...OWNERS, { ...GRO, mark: 'outline' }, ...latencyMarks, band, { ...targetMark, label: 'target of the p99' }],
      panels: [latencyPanel(figures, 'TCP request and response, one byte each way', 'rr'), latencyPanel(figures, 'TCP connect, request, response, close', 'crr'), wakePanel(figures)] },
    { id: 'small', title: 'Small datagrams between pods', command: 'tcp',
      description: 'UDP in frames of 64 bytes, sent as fast as they go; what the receiver counted. Longer is better.',
      legend: [...OWNERS, GRO, band], panels: [systemsPanel(figures, 'Received', 'Mpps', 'udp64', 'mpps')] },
    { id: 'idle', title: 'What waiting costs', command: 'idle',
      description: 'CPU of a dataplane while so many packets a second are offered. Shorter is better.',
      legend: [{ style: 'routed', label: 'Fairlead' }, band, targetMark], panels: [idlePanel(figures)] },
  ];
  for (const chart of charts) {
    chart.legend ??= [...chart.panels[0].series.map((line) => ({ style: line.style, label: line.label, mark: line.joined ? 'line' : 'marker' })), band];
    if (chart.panels.some((panel) => panel.series?.some((line) => line.points.some((at) => at.target !== undefined)))) chart.legend.push(targetMark);
  }
  return charts;
}

// A sentence for those who cannot see the picture.
export function inWords(chart) {
  const panels = chart.panels.map((panel) => {
    if (panel.empty) return `${panel.title}: ${NOT_MEASURED}.`;
    const said = panel.kind === 'rows'
      ? panel.rows.filter((row) => row.label).map((row) => `${row.cells[0]} ${row.missing ? NOT_MEASURED : row.text}`)
      : panel.series.flatMap((line) => line.points.map((at) => `${line.label}, ${at.name} ${withUnit(at.median, panel.unit)}`)).concat(panel.missing.map((name) => `${name} ${NOT_MEASURED}`));
    return `${panel.title}: ${said.join('; ')}.`;
  });
  return `${chart.description} ${panels.join(' ')}`;
}

export { NOT_MEASURED };
