// Numbers, dates and text for people. Also part of the page: no node API here.

const UNITS = { us: 'µs', '1/s': '/s', 's': 's' };

export function unitText(unit) {
  return UNITS[unit] ?? unit;
}

// Three digits that mean something: 26,660 · 61.2 · 0.986.
export function number(value) {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 100) return Math.round(value).toLocaleString('en-US');
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  if (size >= 0.001) return value.toFixed(Math.min(5, 2 - Math.floor(Math.log10(size))));
  return value.toPrecision(3);
}

// As short as it is exact: what people wrote themselves (targets, parameters).
export function plain(value) {
  return typeof value === 'number' ? value.toLocaleString('en-US', { maximumFractionDigits: 4 }) : String(value);
}

// 16384 -> 16.4 k, 10000000 -> 10 M.
export function compact(value) {
  for (const [size, letter] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))} ${letter}`;
  }
  return plain(value);
}

export function withUnit(value, unit) {
  if (unit === 'ratio') return `${ratio(value)} ×`;
  if (unit === '1/s') return `${number(value)}/s`;
  if (unit.startsWith('%')) return `${number(value)} ${unit}`;
  return `${number(value)} ${unitText(unit)}`;
}

export function ratio(value) {
  return value >= 100 ? number(value) : value.toFixed(2);
}

export function range(band, write = number) {
  return `${write(band.p05)} – ${write(band.p95)}`;
}

export function date(text) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return String(text);
  const day = when.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' });
  return `${day}, ${when.toISOString().slice(11, 16)} UTC`;
}

export function duration(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export function escapeHtml(text) {
  return String(text).replace(/[&<>"']/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[letter])
    // XML has no other control characters, and the SVG files are XML.
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');
}
