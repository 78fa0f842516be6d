#!/usr/bin/env node
// usage: node tools/report/report.mjs RESULT.json FOLDER
//   writes FOLDER/report.html, which needs nothing but itself, and FOLDER/<chart>.svg for a README
// Exit codes: 0 ok, 1 failed, 2 usage, 3 RESULT.json is no result of a benchmark, 4 the packages of tools/report are missing.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chartsOf } from './charts.mjs';
import { pageOf } from './page.mjs';
import { ReportError, readResult } from './result.mjs';
import { svgOf } from './svg.mjs';

const USAGE = 'usage: node tools/report/report.mjs RESULT.json FOLDER';

function write(file, content) {
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  } catch (error) {
    throw new ReportError('FL6003', 1, `${file} cannot be written: ${error.code}`, 'name a folder that can be written, with room on its disk');
  }
}

function main(argv) {
  if (argv.length === 1 && ['-h', '--help'].includes(argv[0])) {
    console.log(`${USAGE}\n  writes FOLDER/report.html and FOLDER/<chart>.svg from what fairlead bench -o json printed`);
    return;
  }
  const option = argv.find((argument) => argument.startsWith('-'));
  if (option) throw new ReportError('FL6014', 2, `unknown option ${option}`, USAGE);
  if (argv.length !== 2) throw new ReportError('FL6014', 2, `two arguments are wanted, a result and a folder, not ${argv.length}`, USAGE);
  const [input, folder] = argv;
  const result = readResult(input);
  if (!existsSync(new URL('node_modules/uplot/package.json', import.meta.url))) {
    throw new ReportError('FL6034', 4, 'uPlot is not in tools/report/node_modules', 'run tools/report/packages');
  }
  const charts = chartsOf(result);
  write(path.join(folder, 'report.html'), pageOf(result, charts));
  for (const chart of charts) write(path.join(folder, `${chart.id}.svg`), svgOf(chart, result));
}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ReportError)) throw error;
  console.error(String(error));
  process.exitCode = error.status;
}
