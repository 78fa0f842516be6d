// What the report makes of a result, without a browser.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NOT_MEASURED, chartsOf } from '../../tools/report/charts.mjs';
import { Figures, count, held, standing, targetText } from '../../tools/report/figures.mjs';
import { compact, date, duration, escapeHtml, number, plain, withUnit } from '../../tools/report/format.mjs';
import { pageOf } from '../../tools/report/page.mjs';
import { SCHEMES, STYLES } from '../../tools/report/palette.mjs';
import { parseResult } from '../../tools/report/result.mjs';
import { ticks } from '../../tools/report/scene.mjs';
import { svgOf } from '../../tools/report/svg.mjs';

const PROGRAM = fileURLToPath(new URL('../../tools/report/report.mjs', import.meta.url));
const SAMPLE = fileURLToPath(new URL('data/bench.json', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'fairlead-report-unit-'));
after(() => rmSync(folder, { recursive: true }));

const sample = () => parseResult(readFileSync(SAMPLE, 'utf8'), SAMPLE);

function figure(more = {}) {
  return { id: 'tcp.stream.fairlead_vxlan.gbps', title: 'a stream', unit: 'Gb/s', better: 'higher', median: 2, p05: 1.5, p95: 2.5, rounds: 5, parameters: {}, ...more };
}

function result(...figures) {
  return { schema: 1, kind: 'fairlead-bench', started: '2026-11-26T10:38:04Z', duration_s: 44.2, quick: true, machine: { cpu: 'a CPU', cores: 2 }, figures, notes: [] };
}

const peer = (ratio) => ({ name: 'kernel VXLAN', median: 3, p05: 2.5, p95: 3.5, ratio });
const page = (of) => pageOf(of, chartsOf(of));
const panelOf = (of, chart, index = 0) => chartsOf(of).find(({ id }) => id === chart).panels[index];
const rowOf = (panel, label) => panel.rows.find((row) => row.label === label);

function run(...argv) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...argv], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('numbers for people', () => {
  test('as many digits as mean something', () => {
    assert.deepEqual([0, 0.000123, 0.0576, 0.9805, 1.802, 26.49, 239.8, 26660].map(number), ['0', '0.000123', '0.0576', '0.981', '1.80', '26.5', '240', '26,660']);
  });
  test('units, counts, dates and durations', () => {
    assert.equal(withUnit(239.8, 'us'), '240 µs');
    assert.equal(withUnit(9971, '1/s'), '9,971/s');
    assert.equal(withUnit(0.5861, 'ratio'), '0.59 ×');
    assert.deepEqual([1000, 16384, 1048576, 10000000, 64].map(compact), ['1 k', '16.4 k', '1.05 M', '10 M', '64']);
    assert.equal(plain(0.7), '0.7');
    assert.equal(date('2026-11-26T10:38:04Z'), '26 November 2026, 10:38 UTC');
    assert.equal(duration(212.4), '3 min 32 s');
  });
  test('an axis has round numbers up to its end', () => {
    assert.deepEqual(ticks(14.2), [0, 5, 10]);
    assert.deepEqual(ticks(0.13).map((value) => Number(value.toFixed(3))), [0, 0.05, 0.1]);
  });
});

describe('what the figures say', () => {
  test('a target is held by the median, or by the ratio where it is of a peer', () => {
    assert.equal(held(figure({ target: { at_least: 1.9 } })), true);
    assert.equal(held(figure({ target: { at_most: 1.9 } })), false);
    assert.equal(held(figure({ peer: peer({ median: 0.6, p05: 0.5, p95: 0.7 }), target: { at_least: 0.7, of: 'peer' } })), false);
    assert.equal(held(figure({ target: { at_most: 1.9 }, held: true })), true, 'what the run says counts');
    assert.equal(held(figure()), null);
  });
  test('the band decides who is ahead', () => {
    const stands = (p05, p95) => standing(figure({ peer: peer({ median: (p05 + p95) / 2, p05, p95 }) }));
    assert.deepEqual([stands(1.01, 1.2), stands(0.9, 1.1), stands(0.8, 0.99)], ['ahead', 'even', 'behind']);
    assert.equal(standing(figure()), null);
  });
  test('losses are counted like wins', () => {
    const { held: kept, missed, ahead, even, behind } = count(sample().figures);
    assert.ok(kept > 0 && missed > kept && behind > ahead && ahead > 0 && even > 0);
    const html = page(sample());
    for (const amount of [kept, missed, ahead, even, behind]) assert.ok(html.includes(`<b>${amount}</b>`));
  });
  test('targets in words', () => {
    assert.equal(targetText(figure({ target: { at_most: 28 }, unit: 'cycles/packet' })), 'at most 28 cycles/packet');
    assert.equal(targetText(figure({ peer: peer(), target: { at_least: 0.7, of: 'peer' } })), 'at least 0.7 × kernel VXLAN');
  });
  test('every figure has its room, unknown ones too', () => {
    const rooms = new Figures(result(figure({ id: 'new.thing' }), figure({ id: 'pps.routed4.cycles' }))).rooms();
    assert.deepEqual(rooms.map(([, list]) => list.map(({ id }) => id)), [['pps.routed4.cycles'], ['new.thing']]);
  });
});

describe('the page', () => {
  test('every figure of the run is in the table, with its band, peer and ratio', () => {
    const of = sample(), html = page(of);
    for (const { id } of of.figures) assert.ok(html.includes(`${escapeHtml(id)}<br>`), id);
    const one = page(result(figure({ peer: peer({ median: 0.59, p05: 0.52, p95: 0.67 }) })));
    for (const text of ['2.00 Gb/s', '1.50 – 2.50', 'kernel VXLAN', '3.00 Gb/s', '2.50 – 3.50', '>0.59<', '0.52 – 0.67', '▼ behind']) assert.ok(one.includes(text), text);
  });
  test('a target that is not held is shown with what limits it', () => {
    const html = page(result(figure({ target: { at_least: 3 }, held: false, limits: 'two more copies of every byte' })));
    assert.match(html, /data-target="missed".*✗ not held.*two more copies of every byte/s);
    assert.match(page(result(figure({ target: { at_least: 1 }, held: true }))), /data-target="held".*✓ held/s);
    assert.match(page(result(figure({ target: { at_least: 3 }, held: false }))), /does not say what limits it/);
  });
  test('strings of the result are never markup', () => {
    const evil = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"\'&';
    const of = result(figure({ id: `tcp.${evil}`, title: evil, unit: evil, parameters: { [evil]: evil, nested: { evil } }, peer: { ...peer(), name: evil }, target: { at_least: 9 }, limits: evil }),
      figure({ peer: { ...peer({ median: 1, p05: 1, p95: 1 }), name: evil } }));
    Object.assign(of, { machine: { cpu: evil, kernel: evil, fairlead: evil, dpdk: evil, compiler: evil, mitigations: evil }, notes: [evil] });
    const html = page(of), harmless = page(result(figure({ peer: peer({ median: 1, p05: 1, p95: 1 }) })));
    assert.ok(!html.includes('<img') && !html.includes('<script>alert'));
    assert.equal(html.split('</script>').length, harmless.split('</script>').length);
    for (const chart of chartsOf(of)) assert.ok(!/<img|<script/.test(svgOf(chart, of)));
  });
  test('it asks for nothing but itself', () => {
    const html = page(sample());
    assert.match(html, /default-src 'none'/);
    assert.ok(!/<(script|img|iframe)[^>]+src=|<link[^>]+href="(?!data:)|url\((?!#)|@import/.test(html));
    assert.ok(!/^\s*(import|export) /m.test(html), 'the modules are one script');
  });
  test('an empty run is a page, too', () => {
    const html = page(result());
    assert.equal(html.match(/class="absent">Not measured in this run/g).length, chartsOf(result()).flatMap(({ panels }) => panels).length);
  });
});

describe('charts', () => {
  test('a figure that is missing is named in its chart', () => {
    const panel = panelOf(result(figure()), 'tcp');
    assert.equal(panel.rows.filter((row) => row.missing).length, 7);
    assert.ok(!rowOf(panel, 'Fairlead').missing);
    const html = page(result(figure())), svg = svgOf(chartsOf(result(figure())).find(({ id }) => id === 'tcp'), result(figure()));
    assert.equal(svg.split(`>${NOT_MEASURED}</text>`).length - 1, 7 + 1, 'seven systems, and the whole panel of CPU');
    assert.match(html, new RegExp(`kernel, veth to veth</th><td>${NOT_MEASURED}`));
  });
  test('sizes, flows and peers that are missing are named, too', () => {
    const of = sample();
    of.figures = of.figures.filter(({ id }) => !/size_1518|flow4\.10000000|peer\.l3fwd/.test(id));
    assert.deepEqual(panelOf(of, 'throughput').missing, ['Fairlead, routed, 1518 B', 'Fairlead, overlay, 1518 B', 'l3fwd (LPM)']);
    assert.deepEqual(panelOf(of, 'flows').missing, ['10 M flows']);
    assert.ok(rowOf(panelOf(of, 'cycles'), 'l3fwd (LPM)').missing);
  });
  test('bands are drawn as measured', () => {
    const { whisker } = rowOf(panelOf(result(figure()), 'tcp'), 'Fairlead');
    assert.deepEqual([whisker.p05, whisker.median, whisker.p95], [1.5, 2, 2.5]);
  });
  test('a path stands on the floor, and so do its band and its target', () => {
    const cycles = (id, median, more = {}) => figure({ id, unit: 'cycles/packet', better: 'lower', median, p05: median - 1, p95: median + 2, ...more });
    const of = result(cycles('pps.floor.cycles', 30), cycles('pps.routed4.cycles', 71), cycles('pps.routed4.above_floor', 40, { target: { at_most: 28 } }));
    const row = rowOf(panelOf(of, 'cycles'), 'routed, IPv4');
    assert.deepEqual(row.bars.map(({ from, to }) => [from, to]), [[0, 30], [30, 70]]);
    assert.deepEqual(row.whisker, { p05: 69, p95: 72 });
    assert.equal(row.target, 58);
  });
  test('a tunnel stands on the routed path of its family, or has no bar when it costs nothing', () => {
    const of = (tunnel) => result(...Object.entries({ 'floor.cycles': 30, 'routed4.cycles': 71, 'routed4.above_floor': 40, 'encap4.cycles': 32 + tunnel, 'encap4.above_floor': tunnel })
      .map(([id, median]) => figure({ id: `pps.${id}`, unit: 'cycles/packet', better: 'lower', median, p05: median - 1, p95: median + 1 })));
    const bars = (tunnel) => rowOf(panelOf(of(tunnel), 'cycles'), 'VXLAN encapsulation, IPv4').bars.map(({ style, from, to }) => [style, from, to]);
    assert.deepEqual(bars(55), [['floor', 0, 30], ['routed', 30, 70], ['overlay', 70, 85]]);
    assert.deepEqual(bars(38), [['floor', 0, 30], ['routed', 30, 68]]);
  });
  test('cycles of a peer become packets per second, the band turned round', () => {
    const of = result(figure({ id: 'pps.peer.testpmd_io.cycles', unit: 'cycles/packet', better: 'lower', median: 50, p05: 40, p95: 100 }));
    of.machine.tsc_ghz = 2;
    const [{ median, p05, p95 }] = panelOf(of, 'throughput').series.find(({ label }) => label === 'testpmd io').points;
    assert.deepEqual([p05, median, p95], [20, 40, 50]);
  });
  test('flows are in order and begin with the main run', () => {
    const [above] = panelOf(sample(), 'flows').series;
    assert.deepEqual(above.points.map(({ x }) => x), [16384, 1048576, 10000000]);
  });
});

describe('colours', () => {
  const channels = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const luminance = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
  const contrast = (a, b) => {
    const [high, low] = [luminance(channels(a)), luminance(channels(b))].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  // Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
  const EYES = {
    usual: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    protanope: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    deuteranope: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    tritanope: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
  };
  function lab(hex, eye) {
    const seen = EYES[eye].map((row) => Math.min(1, Math.max(0, row.reduce((sum, factor, index) => sum + factor * channels(hex)[index], 0))));
    const xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]].map((row) => row.reduce((sum, factor, index) => sum + factor * seen[index], 0));
    const [x, y, z] = [xyz[0] / 0.9505, xyz[1], xyz[2] / 1.089].map((t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116));
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
  }
  const difference = (a, b, eye) => Math.hypot(...lab(a, eye).map((value, index) => value - lab(b, eye)[index]));

  for (const scheme of ['light', 'dark']) {
    const { surface, page: behind, text, muted } = SCHEMES[scheme];
    test(`${scheme}: text and marks stand out`, () => {
      for (const paper of [surface, behind]) assert.ok(contrast(text, paper) >= 7 && contrast(muted, paper) >= 4.5);
      for (const [name, style] of Object.entries(STYLES)) assert.ok(contrast(style[scheme], surface) >= 3, name);
    });
    test(`${scheme}: what meets in a chart differs for every eye, or by its shape`, () => {
      for (const eye of Object.keys(EYES)) {
        for (const [a, b] of [['overlay', 'routed'], ['overlay', 'kernel'], ['routed', 'kernel'], ['routed', 'local'], ['overlay', 'local'], ['local', 'kernel']]) {
          const apart = difference(STYLES[a][scheme], STYLES[b][scheme], eye);
          assert.ok(apart >= 12, `${a} and ${b} for a ${eye}: ${apart.toFixed(1)}`);
        }
      }
    });
  }
  test('series of one chart have markers of their own, and lines dashes', () => {
    const markers = panelOf(sample(), 'throughput').series.map(({ style }) => STYLES[style].marker);
    assert.equal(new Set(markers).size, markers.length);
    const dashes = panelOf(sample(), 'flows').series.map(({ style }) => String(STYLES[style].dash));
    assert.equal(new Set(dashes).size, dashes.length);
  });
});

describe('the command', () => {
  const file = (name, content) => {
    const where = path.join(folder, name);
    writeFileSync(where, typeof content === 'string' ? content : JSON.stringify(content));
    return where;
  };
  const refused = (content, words) => {
    const { status, stderr, stdout } = run(file('bad.json', content), folder);
    assert.equal(status, 3, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /^error\[FL6032\]: .*\n {2}fix: {2}make it with: fairlead bench -o json -w .*\n$/);
    assert.ok(stderr.includes(words), stderr);
  };

  test('writes the page and a picture of each chart', () => {
    const out = path.join(folder, 'deep', 'results');
    const { status, stderr } = run(SAMPLE, out);
    assert.equal(status, 0, stderr);
    assert.deepEqual(readdirSync(out).sort(), ['cycles', 'flows', 'idle', 'latency', 'report.html', 'small', 'tcp', 'throughput'].map((name) => (name.includes('.') ? name : `${name}.svg`)).sort());
  });
  test('usage', () => {
    for (const argv of [[], [SAMPLE], [SAMPLE, folder, 'more'], ['--wide', SAMPLE]]) {
      const { status, stderr } = run(...argv);
      assert.equal(status, 2);
      assert.match(stderr, /^error\[FL6014\]: .*\n {2}fix: {2}usage: /);
    }
    assert.equal(run('--help').status, 0);
  });
  test('a result that is none is refused in one sentence', () => {
    refused('{"schema": 1,', 'is not JSON');
    refused('[]', 'kind is not fairlead-bench');
    refused('null', 'kind is not fairlead-bench');
    refused({ ...result(), schema: 2 }, 'has schema 2, and this report knows 1');
    refused({ ...result(), figures: {} }, 'has no list of figures');
    refused({ ...result(), started: 'yesterday' }, 'does not say when it was started');
    refused({ ...result(), machine: [] }, 'does not say on which machine');
    refused({ ...result(), notes: [1] }, 'notes is no list of sentences');
    refused(result(null), 'figures[0]: is no object');
    refused(result(figure({ median: undefined })), 'figures[0] (tcp.stream.fairlead_vxlan.gbps): median is missing');
    refused(JSON.stringify(result(figure({ p95: 'high' }))), 'p95 is no number');
    refused(JSON.stringify(result(figure())).replace('"p95":2.5', '"p95":1e999'), 'p95 is no number');
    refused(result(figure({ p05: 2.1 })), 'median lies outside its band');
    refused(result(figure({ better: 'faster' })), 'better is "faster", not lower or higher');
    refused(result(figure({ peer: { name: 'x' } })), 'peer.median is missing');
    refused(result(figure({ peer: peer({ median: 1 }) })), 'peer.ratio.p05 is missing');
    refused(result(figure({ target: {} })), 'target is neither at_most nor at_least');
    refused(result(figure({ target: { at_least: 1, of: 'peer' } })), 'target is of a peer whose ratio is missing');
    refused(result(figure(), figure()), 'id tcp.stream.fairlead_vxlan.gbps is there twice');
  });
  test('a result that is not there, a folder that is none', () => {
    const { status, stderr } = run(path.join(folder, 'nothing.json'), folder);
    assert.equal(status, 3);
    assert.match(stderr, /^error\[FL6032\]: .*nothing\.json cannot be read: ENOENT/);
    const blocked = run(SAMPLE, file('a-file', ''));
    assert.equal(blocked.status, 1);
    assert.match(blocked.stderr, /^error\[FL6003\]: .* cannot be written: /);
  });
});
