// Reads what `fairlead bench -o json` printed. Nothing in it is trusted to have the form it should.
import { readFileSync } from 'node:fs';

const SCHEMA = 1;
const KIND = 'fairlead-bench';

// An error that a person can act on; `status` is the exit code.
export class ReportError extends Error {
  constructor(code, status, what, fix) {
    super(what);
    Object.assign(this, { code, status, fix });
  }
  toString() {
    return `error[${this.code}]: ${this.message}\n  fix:  ${this.fix}`;
  }
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === 'string';
const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

function wrongInBand(of, name = '') {
  if (!isObject(of)) return `${name.slice(0, -1)} is no object`;
  for (const key of ['median', 'p05', 'p95']) {
    if (of[key] === undefined) return `${name}${key} is missing`;
    if (!isNumber(of[key])) return `${name}${key} is no number`;
  }
  if (of.p05 > of.median || of.median > of.p95) return `${name}median lies outside its band`;
  return '';
}

function wrongInPeer(peer) {
  if (!isObject(peer) || !isText(peer.name)) return 'peer has no name';
  return wrongInBand(peer, 'peer.') || (peer.ratio === undefined ? '' : wrongInBand(peer.ratio, 'peer.ratio.'));
}

function wrongInTarget(figure) {
  const { target } = figure;
  if (!isObject(target)) return 'target is no object';
  if (isNumber(target.at_most) === isNumber(target.at_least)) return 'target is neither at_most nor at_least a number';
  if (target.of === undefined) return '';
  if (target.of !== 'peer') return 'target is of something else than a peer';
  return figure.peer?.ratio ? '' : 'target is of a peer whose ratio is missing';
}

function wrongInFigure(figure) {
  if (!isObject(figure)) return 'is no object';
  for (const key of ['id', 'title', 'unit', 'better']) {
    if (!isText(figure[key])) return `${key} is missing`;
  }
  if (!['lower', 'higher'].includes(figure.better)) return `better is "${figure.better}", not lower or higher`;
  if (figure.rounds !== undefined && !isNumber(figure.rounds)) return 'rounds is no number';
  if (figure.parameters !== undefined && !isObject(figure.parameters)) return 'parameters is no object';
  if (figure.held !== undefined && typeof figure.held !== 'boolean') return 'held is neither true nor false';
  if (figure.limits !== undefined && !isText(figure.limits)) return 'limits is no sentence';
  return wrongInBand(figure) || (figure.peer === undefined ? '' : wrongInPeer(figure.peer)) ||
    (figure.target === undefined ? '' : wrongInTarget(figure));
}

function wrongInResult(result) {
  if (!isObject(result) || result.kind !== KIND) return `is no result of a benchmark: kind is not ${KIND}`;
  if (result.schema !== SCHEMA) return `has schema ${JSON.stringify(result.schema) ?? 'of no number'}, and this report knows ${SCHEMA}`;
  if (!isText(result.started) || Number.isNaN(Date.parse(result.started))) return 'does not say when it was started';
  if (!isObject(result.machine)) return 'does not say on which machine it was made';
  if (result.duration_s !== undefined && !isNumber(result.duration_s)) return 'duration_s is no number';
  if (result.notes !== undefined && !(Array.isArray(result.notes) && result.notes.every(isText))) return 'notes is no list of sentences';
  if (!Array.isArray(result.figures)) return 'has no list of figures';
  const ids = new Set();
  for (const [index, figure] of result.figures.entries()) {
    const wrong = wrongInFigure(figure) || (ids.has(figure.id) ? `id ${figure.id} is there twice` : '');
    if (wrong) return `figures[${index}]${isText(figure?.id) ? ` (${figure.id})` : ''}: ${wrong}`;
    ids.add(figure.id);
  }
  return '';
}

// The result in `text`; `name` is what a message calls it. Throws ReportError FL6032, exit code 3.
export function parseResult(text, name) {
  const refuse = (what) => new ReportError('FL6032', 3, `${name} ${what}`, `make it with: fairlead bench -o json -w ${name}`);
  let result;
  try {
    result = JSON.parse(text);
  } catch (error) {
    throw refuse(`is not JSON: ${error.message.replace(/\s+/g, ' ').slice(0, 120)}`);
  }
  const wrong = wrongInResult(result);
  if (wrong) throw refuse(wrong);
  return { duration_s: 0, quick: false, notes: [], ...result };
}

export function readResult(path) {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ReportError('FL6032', 3, `${path} cannot be read: ${error.code}`, `make it with: fairlead bench -o json -w ${path}`);
  }
  return parseResult(text, path);
}
