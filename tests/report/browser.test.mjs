// The report as a reader sees it, in headless Chromium: both schemes, desk and phone. Screenshots stay in the build tree.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { execFileSync } from 'node:child_process';
import { Chromium } from './chromium.mjs';

const PROGRAM = fileURLToPath(new URL('../../tools/report/report.mjs', import.meta.url));
const SAMPLE = fileURLToPath(new URL('data/bench.json', import.meta.url));
const shots = process.env.FAIRLEAD_TEST_RESULTS ?? path.join(tmpdir(), 'fairlead-report-screenshots');
const folder = mkdtempSync(path.join(tmpdir(), 'fairlead-report-pages-'));

const VIEWS = [
  ['light', { width: 1280, height: 900, color: 'light' }],
  ['dark', { width: 1280, height: 900, color: 'dark' }],
  ['phone', { width: 360, height: 740, color: 'light', isMobile: true }],
  ['phone-dark', { width: 360, height: 740, color: 'dark', isMobile: true }],
];

// For each chart: its size, and how many of its pixels and colours the canvas has.
const LOOK_AT_CHARTS = `[...document.querySelectorAll('.plot')].map((box) => {
  const canvas = box.querySelector('canvas');
  if (!canvas) return {name: box.getAttribute('aria-label'), width: 0, height: 0, painted: 0, colours: 0};
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height), colours = new Set();
  let painted = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) { painted += 1; colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]); }
  return {name: box.getAttribute('aria-label'), width: canvas.clientWidth, height: canvas.clientHeight, painted, colours: colours.size};
})`;
// What stands out of the window to the right and is not inside of a box that scrolls.
const STANDS_OUT = `[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5 && !one.closest('.scroll') && !one.closest('.u-hz'))
  .map((one) => one.tagName + '.' + one.className).slice(0, 5)`;
const PAINTED = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))';

function reportOf(name, change = (result) => result) {
  const out = path.join(folder, name), input = path.join(folder, `${name}.json`);
  writeFileSync(input, JSON.stringify(change(JSON.parse(readFileSync(SAMPLE, 'utf8')))));
  execFileSync(process.execPath, [PROGRAM, input, out]);
  return out;
}

describe('the report in a browser', () => {
  let browser, complete;
  before(async () => {
    mkdirSync(shots, { recursive: true });
    complete = reportOf('complete');
    browser = await Chromium.start();
  });
  after(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  async function open(file, view) {
    const page = await browser.open(pathToFileURL(file).href, view);
    await page.evaluate(PAINTED);
    return page;
  }

  for (const [name, view] of VIEWS) {
    test(`${name}: every chart is drawn, nothing overflows, nothing is asked or complained of`, async () => {
      const file = path.join(complete, 'report.html'), page = await open(file, view);
      // Down to the long table, whose rows look alike: a picture of all of them takes seconds.
      const table = await page.evaluate(`document.querySelector('#figures').getBoundingClientRect().top + scrollY`);
      writeFileSync(path.join(shots, `report-${name}.png`), await page.screenshot(table + 700));
      assert.deepEqual(page.complaints, []);
      assert.deepEqual(page.requests, [pathToFileURL(file).href]);
      const charts = await page.evaluate(LOOK_AT_CHARTS);
      assert.equal(charts.length, 11);
      for (const chart of charts) {
        assert.ok(chart.width > 250 && chart.height > 100, `${chart.name}: ${chart.width} x ${chart.height}`);
        assert.ok(chart.painted > 1000 && chart.colours > 3, `${chart.name}: ${chart.painted} pixels of ${chart.colours} colours`);
      }
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), view.width);
      await page.evaluate(`for (const each of document.querySelectorAll('details')) each.open = true`);
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), view.width, 'with the data open, too');
      assert.deepEqual(await page.evaluate(STANDS_OUT), []);
      await page.close();
    });
  }

  test('the charts follow the reader from light to dark, and a window that is made narrower', async () => {
    const page = await open(path.join(complete, 'report.html'), VIEWS[0][1]);
    const pixel = `(() => { const c = document.querySelector('#cycles canvas'); return c.toDataURL(); })()`;
    const light = await page.evaluate(pixel);
    await page.setColor('dark');
    await page.evaluate(PAINTED);
    assert.notEqual(await page.evaluate(pixel), light);
    assert.equal(await page.evaluate(`getComputedStyle(document.body).backgroundColor`), 'rgb(14, 18, 23)');
    await page.send('Emulation.setDeviceMetricsOverride', { width: 500, height: 900, deviceScaleFactor: 1, mobile: false });
    await page.evaluate(PAINTED);
    const charts = await page.evaluate(LOOK_AT_CHARTS);
    assert.ok(charts.every((chart) => chart.width < 500 && chart.painted > 1000));
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 500);
    assert.deepEqual(page.complaints, []);
    await page.close();
  });

  test('the pointer is told the figures; the filter keeps what is asked for', async () => {
    const page = await open(path.join(complete, 'report.html'), VIEWS[0][1]);
    for (const chart of ['tcp', 'flows']) {
      const { x, y } = await page.evaluate(`(() => { const over = document.querySelector('#${chart} .u-over'); over.scrollIntoView({block: 'center'});
        const box = over.getBoundingClientRect(); return {x: box.left + box.width / 2, y: box.top + 60}; })()`);
      await page.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
      await page.evaluate(PAINTED);
      assert.match(await page.evaluate(`document.querySelector('#${chart} .tip:not([hidden])')?.textContent`), /\(5–95 %: /);
    }
    const rows = `[...document.querySelectorAll('#figures tbody tr')].filter((row) => row.offsetHeight > 0).map((row) => row.dataset.target)`;
    assert.equal((await page.evaluate(rows)).length, JSON.parse(readFileSync(SAMPLE)).figures.length);
    await page.evaluate(`(() => { const select = document.querySelector('#filter select'); select.value = 'missed'; select.dispatchEvent(new Event('change', {bubbles: true})); })()`);
    assert.deepEqual([...new Set(await page.evaluate(rows))], ['missed']);
    await page.close();
  });

  test('every chart has a name, words, and its data', async () => {
    const page = await open(path.join(complete, 'report.html'), VIEWS[0][1]);
    const { nodes } = await page.send('Accessibility.getFullAXTree', {});
    const images = nodes.filter((node) => ['image', 'img'].includes(node.role?.value) && !node.ignored);
    assert.equal(images.length, 11);
    for (const image of images) assert.ok(image.name.value.length > 10 && image.description.value.length > 100, JSON.stringify(image));
    assert.ok(await page.evaluate(`[...document.querySelectorAll('figure')].every((figure) => figure.querySelectorAll('details tbody tr').length > 0)`));
    await page.close();
  });

  test('a run of one part only says what it did not measure', async () => {
    const out = reportOf('idle', (result) => ({ ...result, figures: result.figures.filter(({ id }) => id.startsWith('idle.')) }));
    const page = await open(path.join(out, 'report.html'), VIEWS[2][1]);
    writeFileSync(path.join(shots, 'report-idle-only.png'), await page.screenshot());
    assert.deepEqual(page.complaints, []);
    assert.equal((await page.evaluate(LOOK_AT_CHARTS)).length, 2);
    assert.equal(await page.evaluate(`document.querySelectorAll('figure .absent').length`), 9);
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360);
    await page.close();
  });

  test('the pictures for a README are whole in both schemes', async () => {
    for (const name of readdirSync(complete).filter((file) => file.endsWith('.svg'))) {
      const papers = [];
      for (const color of ['light', 'dark']) {
        const page = await open(path.join(complete, name), { width: 720, height: 900, color });
        assert.deepEqual(page.complaints, [], name);
        assert.equal(page.requests.length, 1, name);
        const outside = await page.evaluate(`(() => { const root = document.documentElement, {width, height} = root.viewBox.baseVal;
          return [...root.querySelectorAll('text, path')].filter((one) => !one.closest('defs')).map((one) => [one.textContent || one.getAttribute('d').slice(0, 40), one.getBBox()])
            .filter(([, box]) => box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height).map(([what]) => what); })()`);
        assert.deepEqual(outside, [], `${name}: stands out of the picture`);
        assert.ok(await page.evaluate(`document.querySelector('title').textContent.length > 5 && document.querySelector('desc').textContent.length > 100`));
        papers.push(await page.evaluate(`getComputedStyle(document.querySelector('rect')).fill`));
        writeFileSync(path.join(shots, `${path.basename(name, '.svg')}-${color}.png`), await page.screenshot());
        await page.close();
      }
      assert.notEqual(papers[0], papers[1], name);
    }
  });
});
