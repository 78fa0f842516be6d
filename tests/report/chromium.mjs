// Headless Chromium over the DevTools protocol: NUL-terminated messages on two pipes, no package needed.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-dev-shm-usage', '--hide-scrollbars', '--remote-debugging-pipe'];

export class Chromium {
  static async start() {
    const browser = new Chromium();
    browser.profile = mkdtempSync(path.join(tmpdir(), 'fairlead-report-'));
    browser.process = spawn('chromium', [...FLAGS, `--user-data-dir=${browser.profile}`, 'about:blank'],
      { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], env: { ...process.env, HOME: browser.profile } });
    browser.said = '';
    browser.process.stderr.on('data', (bytes) => { browser.said = (browser.said + bytes).slice(-4000); });
    browser.ended = new Promise((resolve) => browser.process.once('exit', resolve));
    browser.process.once('error', (error) => browser.failAll(error));
    browser.process.once('exit', (code) => browser.failAll(new Error(`chromium ended with ${code}: ${browser.said}`)));
    browser.process.stdio[4].on('data', (bytes) => browser.receive(bytes));
    await browser.send('Browser.getVersion');
    return browser;
  }

  waiting = new Map();
  listeners = new Set();
  pending = Buffer.alloc(0);
  lastId = 0;

  failAll(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  receive(bytes) {
    this.pending = Buffer.concat([this.pending, bytes]);
    for (let end = this.pending.indexOf(0); end >= 0; end = this.pending.indexOf(0)) {
      const message = JSON.parse(this.pending.subarray(0, end).toString());
      this.pending = this.pending.subarray(end + 1);
      const { resolve, reject } = this.waiting.get(message.id) ?? {};
      this.waiting.delete(message.id);
      if (message.error) reject?.(new Error(message.error.message));
      else if (resolve) resolve(message.result);
      else for (const listener of this.listeners) listener(message);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  // A tab of its own, watched from before its first request. color: "light" | "dark".
  async open(url, { width, height, color, isMobile = false }) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    this.listeners.add(page.listener);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
    await page.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: isMobile ? 1.5 : 1, mobile: isMobile });
    await page.setColor(color);
    const loaded = page.next('Page.loadEventFired');
    await page.send('Page.navigate', { url });
    await loaded;
    return page;
  }

  async close() {
    this.send('Browser.close').catch(() => {});
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 5000);
    await this.ended;
    clearTimeout(timer);
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Page {
  requests = [];
  complaints = [];
  awaited = new Map();

  constructor(browser, sessionId, targetId) {
    Object.assign(this, { browser, sessionId, targetId });
    this.listener = (message) => message.sessionId === sessionId && this.heard(message);
  }

  heard({ method, params }) {
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
    if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled') this.complaints.push(params.args.map((argument) => argument.value ?? argument.description).join(' '));
    if (method === 'Log.entryAdded') this.complaints.push(params.entry.text);
    this.awaited.get(method)?.();
  }

  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  next(method) {
    return new Promise((resolve) => this.awaited.set(method, resolve));
  }

  setColor(color) {
    return this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: color }] });
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // A PNG of the page down to `most` pixels, not only of the window.
  async screenshot(most = Infinity) {
    const { cssContentSize: { width, height: whole } } = await this.send('Page.getLayoutMetrics');
    const height = Math.min(whole, Math.ceil(most));
    const { data } = await this.send('Page.captureScreenshot', { captureBeyondViewport: true, clip: { x: 0, y: 0, width, height, scale: 1 } });
    return Buffer.from(data, 'base64');
  }

  async close() {
    this.browser.listeners.delete(this.listener);
    await this.browser.send('Target.closeTarget', { targetId: this.targetId });
  }
}
