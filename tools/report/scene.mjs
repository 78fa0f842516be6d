// A panel as text and paths at places in pixels: the SVG files and the page's canvas draw the same. Also part of the page.
//
// primitive: {text, x, y, anchor, weight, colour} | {d, fill, hatch, stroke, width, dash, opacity}
import { STYLES, markerPath } from './palette.mjs';

export const ROW_HEIGHT = 42;
export const HEADING_HEIGHT = 34;
export const ROW_TEXT_PX = 13;
const BAR_TOP = 20;
const BAR_HEIGHT = 13;

export function rowsHeight(panel) {
  return panel.rows.reduce((sum, row) => sum + (row.heading ? HEADING_HEIGHT : ROW_HEIGHT), 0);
}

// The top of each row, in pixels from the first.
export function rowTops(panel) {
  let top = 0;
  return panel.rows.map((row) => {
    const here = top;
    top += row.heading ? HEADING_HEIGHT : ROW_HEIGHT;
    return here;
  });
}

// The largest value that is drawn.
export function largest(panel) {
  const values = panel.kind === 'rows'
    ? panel.rows.flatMap((row) => [row.target, row.whisker?.p95, ...(row.bars ?? []).map((bar) => bar.to), ...(row.dots ?? []).map((dot) => dot.p95)])
    : panel.series.flatMap((line) => line.points.flatMap((point) => [point.p95, point.target]));
  return Math.max(0, ...values.filter((value) => value !== undefined)) || 1;
}

function whisker(x05, x95, y, size, colour, halo) {
  const d = `M${x05} ${y}H${x95}M${x05} ${y - size}V${y + size}M${x95} ${y - size}V${y + size}`;
  return [{ d, stroke: halo, width: 4 }, { d, stroke: colour, width: 1.5 }];
}

function targetTick(x, y, half, colours) {
  const d = `M${x} ${y - half}V${y + half}M${x - 4} ${y - half}H${x + 4}M${x - 4} ${y + half}H${x + 4}`;
  return [{ d, stroke: colours.surface, width: 5 }, { d, stroke: colours.text, width: 2, dash: [] }];
}

function rowShapes(row, top, { x, left, right }, colours, scheme, notMeasured) {
  const shapes = [{ text: row.label, x: left, y: top + 14, anchor: 'start', colour: colours.text }];
  if (row.missing) {
    shapes.push({ text: notMeasured, x: right, y: top + 14, anchor: 'end', colour: colours.muted, italic: true },
      { d: `M${left} ${top + BAR_TOP + BAR_HEIGHT / 2}H${right}`, stroke: colours.line, width: 1, dash: [2, 4] });
    return shapes;
  }
  shapes.push({ text: row.text, x: right, y: top + 14, anchor: 'end', weight: 600, colour: colours.text });
  const middle = top + BAR_TOP + BAR_HEIGHT / 2;
  for (const bar of row.bars ?? []) {
    const style = STYLES[bar.style];
    const d = `M${x(bar.from)} ${top + BAR_TOP}H${x(bar.to)}V${top + BAR_TOP + BAR_HEIGHT}H${x(bar.from)}z`;
    shapes.push({ d, fill: style[scheme], hatch: style.fill === 'hatch', stroke: style[scheme], width: 1 });
  }
  if (row.whisker) shapes.push(...whisker(x(row.whisker.p05), x(row.whisker.p95), middle, 4, colours.text, colours.surface));
  for (const dot of row.dots ?? []) {
    const style = STYLES[dot.style], isOutline = style.fill === 'hatch';
    shapes.push({ d: `M${x(dot.p05)} ${middle}H${x(dot.p95)}`, stroke: style[scheme], width: 3, opacity: 0.55 },
      { d: markerPath(dot.mark, x(dot.value), middle, 5), fill: isOutline ? colours.surface : style[scheme], stroke: isOutline ? style[scheme] : colours.surface, width: isOutline ? 2 : 1.5 });
  }
  if (row.target !== undefined) shapes.push(...targetTick(x(row.target), middle, 9, colours));
  return shapes;
}

// place: {x: value -> px, left, right, top}; scheme: "light" | "dark".
export function rowsScene(panel, place, colours, scheme, notMeasured) {
  const tops = rowTops(panel);
  return panel.rows.flatMap((row, index) => {
    const top = place.top + tops[index];
    return row.heading ? [{ text: row.heading, x: place.left, y: top + 24, anchor: 'start', weight: 600, colour: colours.muted }]
      : rowShapes(row, top, place, colours, scheme, notMeasured);
  });
}

// Points of series that are not joined stand beside each other, to the left of their place, where no line passes.
const DODGE_PX = 16;

function dodgeOf(panel, x) {
  const aside = panel.series.filter((line) => !line.joined).length;
  return panel.x.names ? Math.min(DODGE_PX, (x(0.5) - x(0)) / (aside + 0.5)) : DODGE_PX;
}

// The marks of a panel of lines; `withLines` adds what uPlot draws itself: the lines and their bands.
export function linesScene(panel, { x, y }, colours, scheme, withLines) {
  const shapes = [], marks = [], dodge = dodgeOf(panel, x);
  let aside = 0;
  for (const line of panel.series) {
    const style = STYLES[line.style], colour = style[scheme], shift = line.joined ? 0 : (aside -= dodge);
    const runs = [[]];
    for (const point of line.points) {
      const px = x(point.x) + shift;
      const d = `M${px} ${y(point.p05)}V${y(point.p95)}M${px - 4} ${y(point.p05)}H${px + 4}M${px - 4} ${y(point.p95)}H${px + 4}`;
      marks.push({ d, stroke: colour, width: 1.5 }, { d: markerPath(style.marker, px, y(point.median), 5), fill: colour, stroke: colours.surface, width: 1.5 });
      if (point.target !== undefined) {
        const at = y(point.target), tick = `M${px - 9} ${at}H${px + 9}M${px - 9} ${at - 4}V${at + 4}M${px + 9} ${at - 4}V${at + 4}`;
        marks.push({ d: tick, stroke: colours.surface, width: 5 }, { d: tick, stroke: colours.text, width: 2 });
      }
      if (panel.x.names && point.x === panel.x.separate) runs.push([]);
      runs.at(-1).push(point);
    }
    if (!withLines || !line.joined) continue;
    for (const run of runs.filter((points) => points.length > 1)) {
      const along = (key, points) => points.map((point) => `${x(point.x)} ${y(point[key])}`).join('L');
      shapes.push({ d: `M${along('p95', run)}L${along('p05', [...run].reverse())}z`, fill: colour, opacity: 0.16 },
        { d: `M${along('median', run)}`, stroke: colour, width: 2, dash: style.dash });
    }
  }
  return [...shapes, ...marks];
}

// Round numbers from 0 to at most `max`, about `count` of them.
export function ticks(max, count = 5) {
  const rough = max / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({ length: Math.floor(max / step + 1e-9) + 1 }, (_, index) => index * step);
}
