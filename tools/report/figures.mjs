// What the figures of a run say: by id, against their targets, beside their peers.
import { number, plain, range, unitText } from './format.mjs';

const ROOMS = [
  ['pps', 'Packets: the dataplane on the replay port'],
  ['search', 'Highest loads without loss (MLRsearch)'],
  ['tcp', 'Pods: TCP and UDP between namespaces'],
  ['idle', 'Idle and waking up'],
  ['memory', 'Memory'],
];

export class Figures {
  constructor(result) {
    this.list = result.figures;
    this.byId = new Map(this.list.map((figure) => [figure.id, figure]));
  }
  get(id) {
    return this.byId.get(id);
  }
  // [figure, the groups of the match] of every id that fits.
  matching(pattern) {
    return this.list.flatMap((figure) => {
      const found = pattern.exec(figure.id);
      return found ? [[figure, found.slice(1)]] : [];
    });
  }
  // [title, figures] of each room that has any, unknown rooms last.
  rooms() {
    const known = new Set(ROOMS.map(([name]) => name));
    const of = (figure) => figure.id.split('.')[0];
    return [...ROOMS.map(([name, title]) => [title, this.list.filter((figure) => of(figure) === name)]),
      ['Others', this.list.filter((figure) => !known.has(of(figure)))]].filter(([, figures]) => figures.length > 0);
  }
}

// true, false, or null without a target.
export function held(figure) {
  if (!figure.target) return null;
  if (figure.held !== undefined) return figure.held;
  const judged = figure.target.of === 'peer' ? figure.peer.ratio.median : figure.median;
  return figure.target.at_most !== undefined ? judged <= figure.target.at_most : judged >= figure.target.at_least;
}

// 'ahead', 'behind', 'even' (the band has 1 in it), or null without a ratio.
export function standing(figure) {
  const ratio = figure.peer?.ratio;
  if (!ratio) return null;
  return ratio.p05 > 1 ? 'ahead' : ratio.p95 < 1 ? 'behind' : 'even';
}

export function targetText(figure) {
  const { target } = figure;
  if (!target) return '';
  const bound = target.at_most !== undefined ? `at most ${plain(target.at_most)}` : `at least ${plain(target.at_least)}`;
  if (target.of === 'peer') return `${bound} × ${figure.peer.name}`;
  return figure.unit === 'ratio' ? `${bound} ×` : `${bound} ${unitText(figure.unit)}`;
}

export function count(list) {
  const counts = { held: 0, missed: 0, ahead: 0, even: 0, behind: 0 };
  for (const figure of list) {
    const isHeld = held(figure), stands = standing(figure);
    if (isHeld !== null) counts[isHeld ? 'held' : 'missed'] += 1;
    if (stands) counts[stands] += 1;
  }
  return counts;
}

// Every parameter with the values it has in this run, such as ["flows", "16,384 · 1,048,576"].
export function parameterValues(list) {
  const values = new Map();
  for (const { parameters = {} } of list) {
    for (const [name, value] of Object.entries(parameters)) {
      if (!values.has(name)) values.set(name, new Set());
      values.get(name).add(value);
    }
  }
  return [...values].map(([name, all]) => [name, [...all].sort((a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : 0))]);
}

export function bandText(band, write = number) {
  return `${write(band.median)} (5–95 %: ${range(band, write)})`;
}
