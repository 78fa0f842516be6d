// Draws the charts of the page with uPlot; page.mjs puts this behind the modules it imports, in one script without imports.
import { compact, plain, unitText } from './format.mjs';
import { SCHEMES, STYLES } from './palette.mjs';
import { decades, horizontalEdges } from './place.mjs';
import { ROW_TEXT_PX, largest, linesScene, rowTops, rowsHeight, rowsScene } from './scene.mjs';

const darkQuery = matchMedia('(prefers-color-scheme: dark)');
const scheme = () => (darkQuery.matches ? 'dark' : 'light');
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';
const AXIS_PX = 30;
const LINES_HEIGHT = 300;

function hatch(context, colour, ratio) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 6 * ratio;
  const draw = tile.getContext('2d');
  draw.scale(ratio, ratio);
  draw.strokeStyle = colour;
  draw.lineWidth = 2.4;
  draw.beginPath();
  for (const at of [-6, 0, 6]) {
    draw.moveTo(at - 1, 7);
    draw.lineTo(at + 7, -1);
  }
  draw.stroke();
  const pattern = context.createPattern(tile, 'repeat');
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

// Primitives of scene.mjs in CSS pixels.
function paint(context, shapes, ratio) {
  context.save();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  for (const shape of shapes) {
    context.globalAlpha = shape.opacity ?? 1;
    if (shape.text !== undefined) {
      context.font = `${shape.italic ? 'italic ' : ''}${shape.weight ?? 400} ${ROW_TEXT_PX}px ${FONT}`;
      context.fillStyle = shape.colour;
      context.textAlign = shape.anchor;
      context.textBaseline = 'alphabetic';
      context.fillText(shape.text, shape.x, shape.y);
      continue;
    }
    const path = new Path2D(shape.d);
    if (shape.fill) {
      context.fillStyle = shape.hatch ? hatch(context, shape.fill, ratio) : shape.fill;
      context.fill(path);
    }
    if (shape.stroke) {
      context.strokeStyle = shape.stroke;
      context.lineWidth = shape.width;
      context.setLineDash(shape.dash ?? []);
      context.stroke(path);
    }
  }
  context.restore();
}

function axis(colours, more) {
  return { font: `${ROW_TEXT_PX}px ${FONT}`, stroke: colours.muted, grid: { stroke: colours.grid, width: 1 }, ticks: { show: false }, ...more };
}

// What is under the pointer; `textAt` gives the words for an index of the data.
function tooltip(box, textAt) {
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  box.append(tip);
  return (plot) => {
    const { idx, left, top } = plot.cursor;
    const text = left >= 0 && idx != null ? textAt(idx) : '';
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const x = left + plot.over.offsetLeft, y = top + plot.over.offsetTop;
    tip.style.left = `${Math.max(0, Math.min(x + 12, box.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${y + 16 + tip.offsetHeight > box.clientHeight ? Math.max(0, y - tip.offsetHeight - 10) : y + 16}px`;
  };
}

function rowsOptions(panel, box, colours) {
  const tops = rowTops(panel), height = rowsHeight(panel), most = largest(panel) * 1.04;
  const draw = (plot) => {
    const ratio = devicePixelRatio, { left, top, width } = plot.bbox;
    const place = { x: (value) => plot.valToPos(value, 'y', true) / ratio, left: left / ratio, right: (left + width) / ratio, top: top / ratio };
    paint(plot.ctx, rowsScene(panel, place, colours, scheme(), box.dataset.missing), ratio);
  };
  return {
    data: [tops.map((top) => top + 20), panel.rows.map((row) => row.whisker?.median ?? row.bars?.at(-1).to ?? row.dots?.[0].value ?? null)],
    height: height + 6 + AXIS_PX,
    options: {
      padding: [0, 10, 0, 10],
      scales: { x: { time: false, ori: 1, dir: -1, range: [0, height + 6] }, y: { ori: 0, dir: 1, range: [0, most] } },
      axes: [axis(colours, { show: false, side: 3 }), axis(colours, { scale: 'y', side: 2, size: AXIS_PX, space: 60, values: (plot, values) => values.map(plain) })],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { draw: [draw], setCursor: [tooltip(box, (index) => panel.rows[index].tip)] },
    },
  };
}

function linesOptions(panel, box, colours) {
  const isNamed = Boolean(panel.x.names), most = largest(panel) * 1.06;
  const places = new Set(panel.series.flatMap((line) => line.points.map((point) => point.x)));
  if (isNamed) panel.x.names.forEach((name, index) => places.add(index));
  // Between what a line joins and what stands apart, a place where no line has a value.
  if (panel.x.separate > 0) places.add(panel.x.separate - 0.5);
  const xs = [...places].sort((a, b) => a - b);
  const data = [xs], series = [{}], bands = [];
  for (const line of panel.series.filter((each) => each.joined)) {
    const style = STYLES[line.style], colour = style[scheme()];
    const column = (key) => xs.map((x) => (x === panel.x.separate - 0.5 ? null : line.points.find((point) => point.x === x)?.[key]));
    data.push(column('p95'), column('p05'), column('median'));
    bands.push({ series: [series.length, series.length + 1], fill: `${colour}29` });
    series.push({ width: 0, points: { show: false } }, { width: 0, points: { show: false } },
      { stroke: colour, width: 2, dash: style.dash, points: { show: false } });
  }
  const [low, high] = isNamed ? [-0.5, panel.x.names.length - 0.5] : decades(panel);
  const draw = (plot) => {
    const ratio = devicePixelRatio;
    const place = { x: (value) => plot.valToPos(value, 'x', true) / ratio, y: (value) => plot.valToPos(value, 'y', true) / ratio };
    paint(plot.ctx, linesScene(panel, place, colours, scheme(), false), ratio);
  };
  const tipAt = (index) => panel.series.flatMap((line) => line.points.filter((point) => point.x === xs[index]).map((point) => point.tip)).join('\n\n');
  const marks = isNamed ? panel.x.names.map((name, index) => index) : Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  return {
    data, height: LINES_HEIGHT,
    options: {
      padding: [10, 12, 0, 0], bands,
      scales: { x: { time: false, distr: isNamed ? 1 : 3, range: isNamed ? [low, high] : horizontalEdges(low, high) }, y: { range: [0, most] } },
      axes: [axis(colours, { size: AXIS_PX, grid: { show: false }, splits: () => marks, values: (plot, values) => values.map((value) => (isNamed ? panel.x.names[value] : compact(value))), filter: (plot, values) => values }),
        axis(colours, { size: 48, values: (plot, values) => values.map(plain) })],
      series, hooks: { draw: [draw], setCursor: [tooltip(box, tipAt)] },
    },
  };
}

function draw(box, panel) {
  box.replaceChildren();
  const colours = SCHEMES[scheme()];
  const { data, height, options } = (panel.kind === 'rows' ? rowsOptions : linesOptions)(panel, box, colours);
  const plot = new uPlot({ width: box.clientWidth, height, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false }, points: { show: false } }, ...options }, data, box);
  box.plot = plot;
  return plot;
}

function start() {
  const charts = JSON.parse(document.getElementById('charts').textContent);
  const boxes = [...document.querySelectorAll('.plot')].map((box) => [box, charts[box.dataset.chart].panels[box.dataset.panel]]);
  for (const [box, panel] of boxes) draw(box, panel);
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.plot && target.plot.width !== target.clientWidth) target.plot.setSize({ width: target.clientWidth, height: target.plot.height });
    }
  });
  for (const [box] of boxes) resized.observe(box);
  darkQuery.addEventListener('change', () => boxes.forEach(([box, panel]) => draw(box, panel)));
  const chosen = document.getElementById('filter');
  chosen.hidden = false;
  chosen.addEventListener('change', (event) => { document.getElementById('figures').dataset.show = event.target.value; });
  document.documentElement.dataset.ready = 'true';
}

start();
