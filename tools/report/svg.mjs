// SVG files for a README: one a chart, with a background of their own, in the reader's light or dark scheme.
import { NOT_MEASURED, inWords } from './charts.mjs';
import { compact, date, escapeHtml, plain, unitText } from './format.mjs';
import { SCHEMES, STYLES, markerPath } from './palette.mjs';
import { decades, horizontalEdges } from './place.mjs';
import { ROW_TEXT_PX, largest, linesScene, rowsHeight, rowsScene, ticks } from './scene.mjs';

const WIDTH = 720;
const PADDING = 24;
const LINES_HEIGHT = 260;
const AXIS_HEIGHT = 42;
const LINES_LEFT = 56;
const LETTER_PX = 6.9;  // of the sans-serif faces, on average, at ROW_TEXT_PX

// Colours are classes, so that one style sheet switches the scheme: `#rrggbb` of the light scheme -> its class.
const CLASSES = new Map();
for (const name of Object.keys(SCHEMES.light)) CLASSES.set(SCHEMES.light[name], [name, SCHEMES.light[name], SCHEMES.dark[name]]);
for (const [name, style] of Object.entries(STYLES)) if (!CLASSES.has(style.light)) CLASSES.set(style.light, [name, style.light, style.dark]);

function styleSheet(prefix) {
  const rules = (which) => [...CLASSES.values()].map((entry) => `.f-${entry[0]}{fill:${entry[which]}}.s-${entry[0]}{stroke:${entry[which]}}`).join('');
  return `text{font:${ROW_TEXT_PX}px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif}` +
    `path{fill:none}.h{font-size:18px;font-weight:600}.b{font-weight:600}.i{font-style:italic}.e{text-anchor:end}.m{text-anchor:middle}` +
    [...CLASSES.values()].map(([name]) => `.h-${name}{fill:url(#${prefix}-${name})}`).join('') +
    `${rules(1)}@media(prefers-color-scheme:dark){${rules(2)}}`;
}

function patterns(prefix) {
  return [...CLASSES.values()].map(([name]) => `<pattern id="${prefix}-${name}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
    `<path class="s-${name}" stroke-width="4" d="M0 0V6"/></pattern>`).join('');
}

const round = (d) => d.replace(/-?\d+\.\d+/g, (digits) => String(Number(Number(digits).toFixed(1))));

function element(shape) {
  if (shape.text !== undefined) {
    const classes = [`f-${CLASSES.get(shape.colour)[0]}`, shape.weight && 'b', shape.italic && 'i', { end: 'e', middle: 'm' }[shape.anchor], shape.large && 'h'].filter(Boolean);
    return `<text class="${classes.join(' ')}" x="${round(String(shape.x))}" y="${round(String(shape.y))}">${escapeHtml(shape.text)}</text>`;
  }
  const classes = [shape.fill && `${shape.hatch ? 'h' : 'f'}-${CLASSES.get(shape.fill)[0]}`, shape.stroke && `s-${CLASSES.get(shape.stroke)[0]}`].filter(Boolean);
  const more = [shape.stroke && `stroke-width="${shape.width}"`, shape.dash?.length && `stroke-dasharray="${shape.dash.join(' ')}"`, shape.opacity && `opacity="${shape.opacity}"`].filter(Boolean);
  return `<path class="${classes.join(' ')}"${more.map((text) => ` ${text}`).join('')} d="${round(shape.d)}"/>`;
}

// What the marks mean; wraps at the width. Returns [shapes, height].
function legend(entries, top, colours) {
  const shapes = [];
  let x = PADDING, y = top;
  for (const entry of entries) {
    const width = 30 + entry.label.length * LETTER_PX + 18;
    if (x + width > WIDTH - PADDING + 18) {
      x = PADDING;
      y += 22;
    }
    shapes.push(...legendMark(entry, x, y - 4, colours), { text: entry.label, x: x + 30, y, colour: colours.muted });
    x += width;
  }
  return [shapes, y - top + 22];
}

export function legendMark({ style, mark }, x, y, colours) {
  const look = STYLES[style], middle = x + 11;
  switch (mark) {
    case 'line': return [{ d: `M${x} ${y}H${x + 22}`, stroke: look.light, width: 2, dash: look.dash }, { d: markerPath(look.marker, middle, y, 4.5), fill: look.light }];
    case 'marker': return [{ d: markerPath(look.marker, middle, y, 4.5), fill: look.light }];
    case 'whisker': return [{ d: `M${x + 2} ${y}H${x + 20}M${x + 2} ${y - 4}V${y + 4}M${x + 20} ${y - 4}V${y + 4}`, stroke: colours.text, width: 1.5 }];
    case 'target': return [{ d: `M${middle} ${y - 7}V${y + 7}M${middle - 4} ${y - 7}H${middle + 4}M${middle - 4} ${y + 7}H${middle + 4}`, stroke: colours.text, width: 2 }];
    case 'p50': return [{ d: markerPath('circle', middle, y, 4.5), fill: colours.text }];
    case 'p99': return [{ d: markerPath('diamond', middle, y, 4.5), fill: colours.text }];
    case 'outline': return [{ d: markerPath('circle', middle, y, 4.5), fill: colours.surface, stroke: look.light, width: 2 }];
    default: return [{ d: `M${x + 2} ${y - 6}H${x + 20}V${y + 6}H${x + 2}z`, fill: look.light, hatch: look.fill === 'hatch', stroke: look.light, width: 1 }];
  }
}

function rowsPanel(panel, top, colours) {
  const height = rowsHeight(panel), left = PADDING, right = WIDTH - PADDING, bottom = top + height + 6;
  const most = largest(panel) * 1.04, x = (value) => left + (value / most) * (right - left);
  const axis = ticks(most).flatMap((value) => [
    { d: `M${x(value)} ${top}V${bottom}`, stroke: colours.grid, width: 1 },
    { text: plain(value), x: x(value), y: bottom + 17, anchor: value === 0 ? 'start' : x(value) > right - 14 ? 'end' : 'middle', colour: colours.muted }]);
  return [[...axis, { text: unitText(panel.unit), x: right, y: bottom + 35, anchor: 'end', colour: colours.muted },
    ...rowsScene(panel, { x, left, right, top }, colours, 'light', NOT_MEASURED)], height + 6 + AXIS_HEIGHT];
}

function linesPanel(panel, top, colours) {
  const left = LINES_LEFT, right = WIDTH - PADDING - 8, bottom = top + LINES_HEIGHT;
  const most = largest(panel) * 1.06, y = (value) => bottom - (value / most) * LINES_HEIGHT;
  const shapes = ticks(most).flatMap((value) => [
    { d: `M${left} ${y(value)}H${right}`, stroke: colours.grid, width: 1 },
    { text: plain(value), x: left - 8, y: y(value) + 4, anchor: 'end', colour: colours.muted }]);
  shapes.push({ text: unitText(panel.unit), x: PADDING, y: top - 8, colour: colours.muted });
  const { x, marks } = horizontal(panel, left, right);
  for (const [value, name] of marks) shapes.push({ text: name, x: x(value), y: bottom + 20, anchor: 'middle', colour: colours.muted });
  shapes.push({ text: panel.x.label, x: right, y: bottom + 38, anchor: 'end', colour: colours.muted }, ...linesScene(panel, { x, y }, colours, 'light', true));
  return [shapes, LINES_HEIGHT + AXIS_HEIGHT + 4];
}

// Where a value stands, and [value, name] of what is written beneath.
function horizontal(panel, left, right) {
  if (panel.x.names) {
    const step = (right - left) / panel.x.names.length;
    return { x: (value) => left + (value + 0.5) * step, marks: panel.x.names.map((name, index) => [index, name]) };
  }
  const [low, high] = decades(panel);
  const [from, to] = horizontalEdges(low, high).map(Math.log10);
  const x = (value) => left + (Math.log10(value) - from) / (to - from) * (right - left);
  return { x, marks: Array.from({ length: high - low + 1 }, (_, index) => [10 ** (low + index), compact(10 ** (low + index))]) };
}

// Lines of at most `width` pixels.
function wrap(text, width) {
  const most = Math.floor(width / LETTER_PX), lines = [''];
  for (const word of text.split(' ')) {
    if (lines.at(-1) && lines.at(-1).length + 1 + word.length > most) lines.push(word);
    else lines[lines.length - 1] += (lines.at(-1) ? ' ' : '') + word;
  }
  return lines;
}

export function svgOf(chart, result) {
  const colours = SCHEMES.light, shapes = [];
  let y = PADDING + 16;
  shapes.push({ text: chart.title, x: PADDING, y, large: true, colour: colours.text });
  y += 24;
  for (const line of wrap(chart.description, WIDTH - 2 * PADDING)) {
    shapes.push({ text: line, x: PADDING, y, colour: colours.muted });
    y += 18;
  }
  const [marks, height] = legend(chart.legend, y + 8, colours);
  shapes.push(...marks);
  y += 8 + height;
  for (const panel of chart.panels) {
    y += 18;
    shapes.push({ text: panel.title, x: PADDING, y, weight: 600, colour: colours.text });
    y += panel.kind === 'lines' ? 40 : 12;
    if (panel.empty) {
      shapes.push({ text: NOT_MEASURED, x: PADDING, y: y + 14, italic: true, colour: colours.muted });
      y += 28;
      continue;
    }
    const [drawn, used] = panel.kind === 'rows' ? rowsPanel(panel, y, colours) : linesPanel(panel, y, colours);
    shapes.push(...drawn);
    y += used;
    if (panel.missing.length === 0) continue;
    for (const line of wrap(`${NOT_MEASURED}: ${panel.missing.join('; ')}`, WIDTH - 2 * PADDING)) {
      shapes.push({ text: line, x: PADDING, y: y + 14, italic: true, colour: colours.muted });
      y += 18;
    }
  }
  const { machine } = result;
  const made = [`fairlead ${machine.fairlead ?? 'of unknown version'}`, machine.cpu, machine.cores && `${machine.cores} cores`, machine.kernel && `Linux ${machine.kernel}`, date(result.started), result.quick && 'quick run'];
  y += 26;
  for (const line of wrap(made.filter(Boolean).join(' · '), WIDTH - 2 * PADDING)) {
    shapes.push({ text: line, x: PADDING, y, colour: colours.muted });
    y += 18;
  }
  const id = `fl-${chart.id}`, total = y + 4;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${total}" viewBox="0 0 ${WIDTH} ${total}" role="img" aria-labelledby="${id}-t ${id}-d">` +
    `<title id="${id}-t">${escapeHtml(chart.title)}</title><desc id="${id}-d">${escapeHtml(inWords(chart))}</desc>` +
    `<style>${styleSheet(id)}</style><defs>${patterns(id)}</defs>` +
    `<rect class="f-surface s-line" x="0.5" y="0.5" width="${WIDTH - 1}" height="${total - 1}" rx="8"/>\n${shapes.map(element).join('\n')}\n</svg>\n`;
}
